# shellcheck shell=bash
# shellcheck disable=SC2154 # root: set by class.sh, which sources this
# JupyterHub in front of a class: set up, started, asked, taken away. As root.

hub_folder=/etc/lab-hub
hub_link=/etc/systemd/system/lab-hub.service

hub_is_on() { [[ -L $hub_link ]]; }

hub_start() {
    local url
    url=$(hub_url)
    if ! hub_is_on; then hub_need_ports "${url##*:}" 8001 8081; fi # its own, its proxy's, its interface's
    LAB_ACCEL=tcg bash "$root/setup/setup.sh" --hub
    install --directory --mode=700 "$hub_folder"
    printf 'LAB_HUB_URL=%s\nLAB_HUB_CERT=%s\nLAB_HUB_KEY=%s\n' "$url" \
        "${LAB_HUB_CERT:-$hub_folder/cert.pem}" "${LAB_HUB_KEY:-$hub_folder/key.pem}" \
        >"$hub_folder/settings"
    if [[ $url == https:* && -z ${LAB_HUB_CERT:-} ]]; then hub_certificate "${LAB_HUB_ADDRESS}"; fi
    systemctl --quiet enable "$root/vagrant/hub/lab-hub.service"
    systemctl stop lab-hub.service
    systemctl start lab-hub.service
}

# Where browsers find it. Passwords cross no network in clear: TLS, but on the loopback.
hub_url() {
    local address=${LAB_HUB_ADDRESS:-127.0.0.1} port=${LAB_HUB_PORT:-8000} scheme=https
    if [[ ! $address =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]]; then
        give_up "LAB_HUB_ADDRESS=$address" "an IPv4 address of this server, or 0.0.0.0 for all"
    fi
    if [[ ! $port =~ ^[1-9][0-9]{0,4}$ || $port -gt 65535 ]]; then
        give_up "LAB_HUB_PORT=$port" "a whole number from 1 to 65535"
    fi
    if [[ -n ${LAB_HUB_CERT:-}${LAB_HUB_KEY:-} && (! -r ${LAB_HUB_CERT:-} || ! -r ${LAB_HUB_KEY:-}) ]]; then
        give_up "LAB_HUB_CERT=${LAB_HUB_CERT:-}, LAB_HUB_KEY=${LAB_HUB_KEY:-}" \
            "two files in PEM that can be read, a certificate and its key; or neither"
    fi
    if [[ $address == 127.* ]]; then scheme=http; fi
    echo "$scheme://$address:$port"
}

# The kernel tells who listens (0A: TCP_LISTEN; proc(5), /proc/net/tcp).
hub_need_ports() { # PORT…
    local port
    for port in "$@"; do
        if grep -qE ":$(printf %04X "$port") 0+:0000 0A" /proc/net/tcp /proc/net/tcp6; then
            give_up "start JupyterHub: port $port is taken" \
                "end who has it (ss -ltnp tells); for another than 8001 and 8081: LAB_HUB_PORT"
        fi
    done
}

# For who brings none: browsers warn, so its fingerprint is told, to be compared.
hub_certificate() { # ADDRESS
    (umask 077 && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \
        -subj "/CN=$(hostname)" -addext "subjectAltName=DNS:$(hostname),IP:$1" \
        -keyout "$hub_folder/key.pem" -out "$hub_folder/cert.pem" 2>/dev/null)
    openssl x509 -in "$hub_folder/cert.pem" -noout -fingerprint -sha256
}

# Its own interface, which tells whether it serves; 404 is an answer, too.
hub_ask() { # METHOD PATH
    "$root/.venv/bin/python" - "$@" <<'END'
import sys, urllib.error, urllib.request
method, path = sys.argv[1:]
token = open("/run/lab-hub/class-token").read()
address = "http://127.0.0.1:8081/hub/api" + path
request = urllib.request.Request(address, method=method, headers={"Authorization": f"token {token}"})
try:
    urllib.request.urlopen(request, timeout=60).close()
except urllib.error.HTTPError as error:
    sys.exit(error.code != 404)
END
}

# Until it serves; false, with the end of its log, if it doesn't. systemd starts it anew where it fails:
# its proxy has 10 s to answer, which a slow server may miss while nothing is in its page cache.
hub_wait() {
    local deadline=$((SECONDS + 600))
    say "waiting for JupyterHub"
    until hub_ask GET /users 2>/dev/null; do
        if [[ $SECONDS -ge $deadline || $(systemctl show --property=NRestarts --value lab-hub) -gt 2 ]]; then
            journalctl --unit lab-hub.service --lines 20 --no-pager >&2 || true
            return 1
        fi
        sleep 0.5
    done
}

# With all that it has started and kept; before it is unlinked, for then systemd knows no more what that is.
hub_stop() {
    systemctl stop lab-hub.service
    systemctl --quiet disable lab-hub.service
    rm -rf "$hub_folder"
}

# So that nobody who gets the same name later finds this one's sessions and tokens.
hub_forget() { hub_ask DELETE "/users/$1"; } # NAME

# The first password of who has none (passwd(1), --status), told once.
hub_password() { # NAME
    local password
    if [[ $(passwd --status "$1" | cut -d ' ' -f 2) == P ]]; then return; fi
    password=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
    chpasswd <<<"$1:$password"
    echo "$1: first password $password"
}

hub_address() { # NAME
    local url port
    url=$(sed -n 's/^LAB_HUB_URL=//p' "$hub_folder/settings")
    port=${url##*:}
    case $url in
        http:*) echo "ssh -L $port:127.0.0.1:$port $1@$(hostname), then $url" ;;
        *0.0.0.0*) echo "https://$(hostname):$port" ;;
        *) echo "$url" ;;
    esac
}
