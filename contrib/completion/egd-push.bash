# Completion of egd-push for bash. Its options are asked of the program.

_egd_push() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words=
    COMPREPLY=()
    # Bash parts words at : and =.
    [ "$cur" != = ] || cur=
    [ "$prev" != = ] || prev=${COMP_WORDS[COMP_CWORD - 2]}
    case $prev in
    --config | --identity)
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    --from) words='unix:/ tcp: sealed: vsock: char:/' ;;
    --to) words='kernel file:/ -' ;;
    --credit) words='auto 0 1 2 3 4 5 6 7 8' ;;
    --sandbox) words='yes no strict' ;;
    --bytes | --interval | --timeout | --quorum) return ;;
    *) words=$("$1" --help 2>/dev/null | grep -oE -- '--[a-z][a-z-]*' | sort -u) ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _egd_push egd-push
