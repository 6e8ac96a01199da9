// The definitions are YAML files in this module: none of its code is used, so `go mod tidy` must not be let at this file.
module crds

go 1.26.7

require github.com/envoyproxy/gateway v1.9.1
