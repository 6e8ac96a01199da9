// The definitions are YAML files in this module: none of its code is used, so `go mod tidy` must not be let at this file.
module crds

go 1.26.0

require github.com/traefik/traefik/v3 v3.7.13
