# Completion of ekeyd, ekeydctl and ekey-rekey for bash. Options and commands are asked of the programs, and what a
# running daemon has of the daemon. Words of the daemon's may come from a dongle: they are compared and quoted, and never
# handed to compgen -W, which would expand them.

# What the user has typed, up to the cursor: sets line (an array), and cur and prev, the last two words.
_ekeyd_typed() {
    local text=${COMP_LINE:0:COMP_POINT}
    read -ra line <<<"$text"
    cur=
    [[ $text == *[[:space:]] ]] || cur=${line[-1]}
    [ -z "$cur" ] || unset 'line[-1]'
    prev=${line[-1]}
    case $cur in
    --*=*) # --option=value is --option value
        prev=${cur%%=*}
        cur=${cur#*=}
        ;;
    esac
}

# Of the lines on standard input, those that begin with what is typed, without the part that bash keeps in front of an
# answer: : and = end words for it.
_ekeyd_offer() {
    local word before=
    [[ $cur != *[:=]* ]] || before=${cur%"${cur##*[:=]}"}
    while IFS= read -r word; do
        [ -n "$word" ] && [[ $word == "$cur"* ]] && COMPREPLY+=("$(printf %q "${word#"$before"}")")
    done
}

_ekeyd_words() { _ekeyd_offer < <(printf '%s\n' "$@"); }

_ekeyd_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen "${1:--f}" -- "$cur")
}

_ekeyd_options() { _ekeyd_offer < <("$1" --help 2>/dev/null | grep -oE -- '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u); }

_ekeyd_ekeyd() {
    local line cur prev
    COMPREPLY=()
    _ekeyd_typed
    case $prev in
    -f | --config | --convert | --keyring | --identity | -p | --pidfile) _ekeyd_files ;;
    --log-level) _ekeyd_words error warning notice info debug ;;
    --sandbox) _ekeyd_words yes no strict ;;
    --user) _ekeyd_offer < <(compgen -u) ;;
    --group) _ekeyd_offer < <(compgen -g) ;;
    --source) _ekeyd_words entropykey:usb entropykey:/ onerng:usb truerng:usb chaoskey:usb tty:/ device:/ egd: sealed: havege: jitter: ;;
    --listen) _ekeyd_words unix:/ tcp: sealed: http: pollen: ;;
    --sink) _ekeyd_words kernel file:/ fifo:/ ;;
    --control) _ekeyd_words unix:/ tcp:127.0.0.1: ;;
    --pool-size | --reserve | --silence) ;;
    *) _ekeyd_options "${line[0]}" ;;
    esac
}

_ekeyd_rekey() {
    local line cur prev
    COMPREPLY=()
    _ekeyd_typed
    case $prev in
    -d | --device | -k | --keyring | -s | --socket) _ekeyd_files ;;
    *) [[ $cur == -* ]] && _ekeyd_options "${line[0]}" ;;
    esac
}

# Number, path and serial number of every source: "NR,OK,Status,Path[,SerialNo]".
_ekeyd_ids() {
    local number ok status rest
    "$@" list 2>/dev/null | tail -n +2 | while IFS=, read -r number ok status rest; do
        printf '%s\n' "$number"
        if [[ $rest =~ ^(.*),([A-Za-z0-9+/]{16})$ ]]; then
            printf '%s\n' "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        else
            printf '%s\n' "$rest"
        fi
    done
}

# The addresses below a title of "show".
_ekeyd_addresses() {
    local title=$1
    shift
    "$@" show 2>/dev/null | awk -v title="$title" '/^[^ ]/ { on = $0 == title; next } on { print $1 }'
}

_ekeyd_ctl() {
    local line cur prev i=1 command= argument=0
    COMPREPLY=()
    _ekeyd_typed
    case $prev in
    -s | --socket) _ekeyd_files; return ;;
    --interval) return ;;
    esac
    local ask=("${line[0]}")
    while ((i < ${#line[@]})); do
        case ${line[i]} in
        -s | --socket) ask+=(--socket "${line[++i]}") ;;
        --socket=*) ask+=("${line[i]}") ;;
        --interval) ((++i)) ;;
        -*) ;;
        *) [ -z "$command" ] && command=${line[i]} || ((++argument)) ;;
        esac
        ((++i))
    done
    if [[ $cur == -* ]]; then
        _ekeyd_options "${line[0]}"
    elif [ -z "$command" ]; then
        _ekeyd_offer < <("${line[0]}" --help 2>/dev/null | sed -n '/^Commands:/,/^Options:/s/^  \([a-z]*\) .*/\1/p')
    else
        case $command:$argument in
        stats:0 | health:0 | reset:0 | remove:0 | capture:0) _ekeyd_offer < <(_ekeyd_ids "${ask[@]}") ;;
        add:0 | keyring:0 | keygen:0 | pubkey:0) _ekeyd_files ;;
        addall:0) _ekeyd_files -d ;;
        listen:0) _ekeyd_words unix:/ tcp: sealed: http: pollen: ;;
        sink:0) _ekeyd_words kernel file:/ fifo:/ ;;
        unlisten:0) _ekeyd_offer < <(_ekeyd_addresses Listeners "${ask[@]}") ;;
        unsink:0) _ekeyd_offer < <(_ekeyd_addresses Sinks "${ask[@]}") ;;
        esac
    fi
}

complete -F _ekeyd_ekeyd ekeyd
complete -F _ekeyd_ctl ekeydctl
complete -F _ekeyd_rekey ekey-rekey
