    # Bash splits a line at = and : too (COMP_WORDBREAKS in bash(1)). What no space separates is one word again here,
    # and the last word ends where the cursor is.
    local line=${COMP_LINE:0:COMP_POINT} word last i
    words=() cword=-1
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        last=
        if [[ $line != [[:space:]]* && $cword -ge 0 ]]; then
            last=${words[cword]}
        fi
        line=${line#"${line%%[![:space:]]*}"}
        if ((i == COMP_CWORD)); then
            word=$line
        fi
        line=${line#"$word"}
        if [[ -n $last && ($word == [=:]* || $last == *[=:]) ]]; then
            words[cword]+=$word
        else
            words[++cword]=$word
        fi
    done
    cur=${words[cword]}
    prev=
    if ((cword > 0)); then
        prev=${words[cword - 1]}
    fi
