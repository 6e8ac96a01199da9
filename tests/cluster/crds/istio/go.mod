// The definitions are YAML files in this module: none of its code is used, so `go mod tidy` must not be let at this file.
module crds

go 1.24.0

require istio.io/api v1.32.0
