#!/bin/sh
# Fills in the template of a gateway:
#
#   VESTIBULE_LISTEN=127.0.0.1:8080 … deploy/render.sh deploy/envoy/envoy.yaml.template > envoy.yaml
#
# Replaces ${VESTIBULE_NAME} by the environment variable. ${VESTIBULE_NAME_HOST} and ${VESTIBULE_NAME_PORT} are the parts of
# VESTIBULE_NAME, host:port, since some gateways configure them separately. ${VESTIBULE_NAME_SERVERS} is the list of this one
# server for nginx. Fails if a variable is not set or malformed; only VESTIBULE_ALLOW_SERVICE_WORKERS may be left out.
# Comment lines are left out, so that the result contains no variable, except for APISIX's mark #END.
set -eu
[ $# -ge 1 ] || { echo "usage: VESTIBULE_…=… $0 TEMPLATE" >&2; exit 2; }
exec awk '
function fail(text) { print FILENAME ":" FNR ": " text > "/dev/stderr"; failed = 1; exit 1 }
# Values are words without blanks or quotation marks, so that they mean the same in the syntax of every gateway.
function value(name) {
  if (!(name in ENVIRON)) fail(name " is not set")
  if (ENVIRON[name] !~ /^[][A-Za-z0-9._~+\/=:-]*$/) fail(name " has a character that is not permitted")
  return ENVIRON[name]
}
function part(name, whole, text) {
  if (name in ENVIRON) return value(name)
  if (name == "VESTIBULE_ALLOW_SERVICE_WORKERS") return ""
  whole = name
  if (sub(/_SERVERS$/, "", whole)) return "server " value(whole) " max_fails=0;"
  if (!sub(/_(HOST|PORT)$/, "", whole)) return value(name)
  text = value(whole)
  if (text !~ /^([^:]+|\[[^]]+\]):[0-9]+$/) fail(whole " is not host:port")
  if (name ~ /_PORT$/) sub(/^.*:/, "", text)
  else { sub(/:[0-9]+$/, "", text); gsub(/[][]/, "", text) }
  return text
}
/^[ \t]*#/ && !/^#END$/ { next }
{
  line = $0; out = ""
  while (match(line, /\$\{VESTIBULE_[A-Z_]+\}/)) {
    out = out substr(line, 1, RSTART - 1) part(substr(line, RSTART + 2, RLENGTH - 3))
    line = substr(line, RSTART + RLENGTH)
  }
  print out line
}
' "$@"
