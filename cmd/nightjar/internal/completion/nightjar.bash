# Completion of nightjar in bash, with the package bash-completion.

# __nightjar_value sets value to what a word stands for, and close to the quote that is still open in it. Where that is not known before something runs it sets
# value to the word and fails: nothing runs by completing.
__nightjar_value() {
	local name='\$[A-Za-z_][A-Za-z0-9_]*'
	local safe="^([^[:space:]\\\\'\"\$\`;&|<>()]|\\\\.|'[^']*'|\"([^\\\\\"\$\`]|\\\\.|$name)*\"|$name)*\$"
	[[ ! $1 =~ (^|[^\\])(\\\\)*\\$ ]] || set -- "${1%\\}" # what several have in common may end within one that is quoted
	for close in '' "'" '"'; do
		if [[ $1$close =~ $safe ]]; then
			set -- "$1$close"
			[[ $1 == \~* ]] || set -- "''$1" # a value, whatever it begins with
			eval "value=$1"
			return
		fi
	done
	value=$1
	return 1
}

# __nightjar_quoted sets word to what is typed for $1, in quotes that are open, if any; it fails if that cannot be.
__nightjar_quoted() {
	word=$1
	case $close in
	'') printf -v word %q "$word" ;;
	"'") [[ $word != *\'* ]] ;;
	*)
		word=${word//\\/\\\\} word=${word//\"/\\\"} word=${word//\$/\\\$} word=${word//\`/\\\`}
		[[ $word != *!* ]]
		;;
	esac
}

__nightjar() {
	local cur prev words cword value close word line found
	if declare -F _comp_initialize >/dev/null; then
		_comp_initialize -n =: || return
	else
		_init_completion -n =: || return
	fi
	__nightjar_value "${words[0]}" || return
	type -P -- "$value" >/dev/null || value=nightjar # an alias
	local args=("$value" __complete)
	for word in "${words[@]:1:cword-1}"; do
		__nightjar_value "$word"
		args+=("$value")
	done
	__nightjar_value "$cur" || return
	args+=("$value")
	local typed=$value flag=
	[[ $typed != -*=* ]] || flag=${typed%%=*}=

	# What bash puts the completed word in place of begins after the last : or = that is not quoted.
	local piece=${COMP_WORDS[COMP_CWORD]}
	[[ $cur == *"$piece" ]] || piece=$cur # the cursor stands within it
	[[ $piece != [:=]* ]] || piece=
	__nightjar_value "$piece" || return
	[[ -z $close || $piece == [\'\"]* ]] || return
	local before=$((${#typed} - ${#value}))

	local lines=() matching=() about=()
	mapfile -t lines < <("${args[@]}" 2>/dev/null)
	((${#lines[@]})) || return
	local directive=${lines[-1]#:} widest=0
	unset 'lines[-1]'
	for line in "${lines[@]}"; do
		found=$flag${line%%$'\t'*}
		[[ $found == "$typed"* ]] || continue
		matching+=("${found:before}")
		[[ $line != *$'\t'* ]] || about[${#matching[@]} - 1]=${line#*$'\t'}
		((${#found} <= widest)) || widest=${#found}
	done
	if ((${#matching[@]} == 0)); then
		[[ -z $flag ]] || cur=${cur#*=}
		((directive & 4)) || _filedir $( ((directive & 16)) && echo -d)
		return
	fi
	compopt -o nosort
	((directive & 2)) && compopt -o nospace
	local n
	for n in "${!matching[@]}"; do
		__nightjar_quoted "${matching[n]}" || continue
		if [[ ${about[n]} && ${#matching[@]} -gt 1 && $COMP_TYPE != 37 && $COMP_TYPE != 42 ]]; then # those are put into the line one after another, or all
			printf -v word '%-*s  (%s)' "$widest" "$word" "${about[n]}"
			word=${word:0:COLUMNS-1}
		fi
		COMPREPLY+=("$word")
	done
}

complete -F __nightjar nightjar
