# Mail that the copy would have sent: files, as nobody gave it a mail server.

# verb_mail [N]: the newest, the newest of them last.
verb_mail() {
	local n=${1:-10} file files
	case $n in '' | *[!0-9]*) die "./dev mail wants a number" ;; esac
	state_open
	mapfile -t files < <("${AS[@]}" find "$STATE/mail" -maxdepth 1 -name '*.eml' | sort | tail -n "$n")
	[ ${#files[@]} -gt 0 ] || { say "no mail yet"; return; }
	for file in "${files[@]}"; do
		mail_show "$file"
	done
}

# To, subject and the text part of a mail, decoded; by the rights of the services' user, whose files they are.
mail_show() {
	"${AS[@]}" cat "$1" | tr -d '\r' | LC_ALL=C awk '
		function decoded(s, word,  out, i, c) {
			out = ""
			for (i = 1; i <= length(s); i++) {
				c = substr(s, i, 1)
				if (c == "=") {
					c = sprintf("%c", 16 * digit(substr(s, i + 1, 1)) + digit(substr(s, i + 2, 1)))
					i += 2
				} else if (word && c == "_")
					c = " "
				out = out c
			}
			return out
		}
		function digit(c) { return index("0123456789ABCDEF", c) - 1 }
		function header(s,  before, word) { # RFC 2047, the Q encoding
			gsub(/\?= =\?UTF-8\?Q\?/, "", s)
			while (match(s, /=\?UTF-8\?Q\?[^?]*\?=/)) {
				before = substr(s, 1, RSTART - 1)
				word = substr(s, RSTART + 10, RLENGTH - 12)
				s = before decoded(word, 1) substr(s, RSTART + RLENGTH)
			}
			return s
		}
		function end_header() {
			if (field ~ /^(Date|From|To|Subject):/) print header(field)
			field = ""
		}
		part == 0 && /^[ \t]/ { sub(/^[ \t]+/, " "); field = field $0; next }
		part == 0 { end_header(); if ($0 == "") { part = 1; print "" } else field = $0; next }
		/^--=_/ { text = body = 0; next }
		!body && /^Content-Type: text\/plain/ { text = 1 }
		!body { body = $0 == ""; next }
		text && /=$/ { printf "%s", decoded(substr($0, 1, length($0) - 1), 0); next }
		text { print decoded($0, 0) }
		END { print "----" }'
}
