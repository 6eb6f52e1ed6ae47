# shellcheck shell=bash
# Sourced by setup.sh and run.sh.

# Prints the folder that holds PostgreSQL's server and its tools: the one on PATH, else the newest of Debian's, which
# keeps them off PATH. False where there is none.
postgres_folder() {
    local initdb folder tool
    initdb=$(command -v initdb) && initdb=$(readlink -f "$initdb") # often a link, and not every tool has one
    while read -r folder; do
        for tool in initdb postgres psql; do [ -x "$folder/$tool" ] || continue 2; done
        printf '%s\n' "$folder"
        return 0
    done < <(printf '%s\n' "${initdb%/initdb}"; printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV)
    return 1
}
