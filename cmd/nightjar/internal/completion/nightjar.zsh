#compdef nightjar
# Completion of nightjar in zsh.

# __nightjar_value sets REPLY to what a word stands for; of what would run something, to its text: nothing runs by completing.
__nightjar_value() {
	REPLY=$1
	if [[ $REPLY =~ '^[^$\\`'\''"()]*([$][A-Za-z_][A-Za-z0-9_]*[^[$\\`'\''"()]*)+$' ]]; then
		REPLY=${(e)REPLY}
	fi
	if [[ $REPLY == '~'* ]]; then
		REPLY=${(Q)~REPLY}
	else
		REPLY=${(Q)REPLY}
	fi
}

_nightjar() {
	local REPLY word line directive
	local -a args lines matching
	for word in "${(@)words[1,CURRENT-1]}"; do
		__nightjar_value "$word"
		args+=("$REPLY")
	done
	__nightjar_value "$PREFIX"
	(( $+commands[$args[1]] )) || [[ -x $args[1] ]] || args[1]=nightjar # an alias
	lines=("${(@f)$("$args[1]" __complete "${(@)args[2,-1]}" "$REPLY" 2>/dev/null)}")
	directive=${lines[-1]#:}
	lines[-1]=()
	[[ $PREFIX != -*=* ]] || compset -P 1 '*='
	for line in "${(@)lines}"; do
		line=${${line//\\/\\\\}//:/\\:} # _describe has a colon where the program has a tab
		matching+=("${line/$'\t'/:}")
	done
	local -a space
	(( directive & 2 )) && space=(-S '')
	_describe -V nightjar matching "${(@)space}" && return
	if (( directive & 16 )); then
		_files -/
	elif (( ! (directive & 4) )); then
		_files
	else
		return 1
	fi
}

if [[ $funcstack[1] == _nightjar ]]; then
	_nightjar "$@" # the file is the function that compinit loads
else
	compdef _nightjar nightjar
fi
