# Completion of nightjar in fish.

# __nightjar_value prints what a word stands for; of what would run something, its text: nothing runs by completing.
function __nightjar_value
    set -l name (string match -r '^\$([A-Za-z_][A-Za-z0-9_]*)' -- $argv[1])[2]
    if test -n "$name"; and set -q $name
        printf '%s\n' "$$name"(string sub -s (math 2 + (string length -- $name)) -- $argv[1])
    else
        string replace -r '^~(?=/|$)' $HOME -- $argv[1]
    end
end

# __nightjar_complete sets __nightjar_words, and fails where files are to be completed.
function __nightjar_complete
    set -g __nightjar_words
    set -l args
    for word in (commandline -opc)
        set -a args (__nightjar_value $word)
    end
    set -l raw (commandline -ct)
    set -l typed
    for close in '' \' \"
        set typed (string unescape -- $raw$close); and break
    end
    type -q -- $args[1]; or set args[1] nightjar # an alias
    set -l lines ($args[1] __complete $args[2..-1] (__nightjar_value "$typed") 2>/dev/null)
    set -l directive (string sub -s 2 -- $lines[-1])
    test -n "$directive"; or return 1
    set -e lines[-1]
    set -l flag (string match -r '^-[^=]*=' -- $typed)
    for line in $lines
        test (string sub -l (string length -- "$typed") -- "$flag$line") = "$typed"; and set -ga __nightjar_words "$flag$line"
    end
    test (count $__nightjar_words) -eq 0; or return 0
    if test (math "bitand($directive, 16)") -ne 0
        set -g __nightjar_words "$flag"(__fish_complete_directories (string replace -- "$flag" '' $raw) '')
    end
    test (math "bitand($directive, 20)") -ne 0
end

complete -c nightjar -e
complete -c nightjar -k -f -n __nightjar_complete -a '$__nightjar_words'
