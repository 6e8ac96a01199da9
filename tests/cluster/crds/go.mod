// The definitions of Gateway API and the Prometheus operator are YAML files in their modules: none of their code is used,
// so `go mod tidy` must not be let at this file.
module crds

go 1.24.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0
	sigs.k8s.io/gateway-api v1.4.0
)
