{{/* The alerts, which use only metrics of docs/metrics.md. Parameters: `ours`, the label matchers of this release, and `keyRingDays`. */}}

{{- define "vestibule.alerts" -}}
- alert: VestibuleAbsent
  expr: absent(vestibule_build_info{ {{- .ours -}} })
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: No Vestibule pod is scraped
    description: Without a Vestibule pod, the gateway answers every request with an error. Check that the pods run and that Prometheus can reach the admin port.
- alert: VestibuleStoreUnavailable
  expr: sum(rate(vestibule_store_commands_total{ {{- .ours }}, outcome=~"unavailable|unknown"}[2m])) > 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: The store does not respond
    description: Users cannot sign in. Vestibule serves signed-in users from its cache for cache.revocation_grace and then answers 503. Check Redis and the network policy.
- alert: VestibuleChecksUnavailable
  expr: sum(rate(vestibule_checks_total{ {{- .ours }}, outcome="unavailable"}[2m])) > 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: Checks are answered with 503
    description: "{{ "{{ $value | humanize }}" }} auth requests per second could not be decided, so their requests failed."
- alert: VestibuleCacheNotVerified
  expr: max by (pod) (vestibule_cache_proof_age_seconds{ {{- .ours -}} }) > 3
  for: 1m
  labels: {severity: warning}
  annotations:
    summary: A pod cannot verify its cache
    description: "{{ "{{ $labels.pod }}" }} has not verified its cache for {{ "{{ $value | humanizeDuration }}" }} and serves stale sessions within the grace period. It may not see sign-outs of that time."
- alert: VestibuleLoginFailures
  expr: |-
    sum by (provider) (rate(vestibule_logins_total{ {{- .ours }}, outcome=~"provider_failed|store_failed"}[15m]))
      / sum by (provider) (rate(vestibule_logins_total{ {{- .ours -}} }[15m])) > 0.1
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: Logins fail because of the provider or the store
    description: "{{ "{{ $value | humanizePercentage }}" }} of the logins with {{ "{{ $labels.provider }}" }} fail. Check the provider, the store and the log."
- alert: VestibuleLoginsDenied
  expr: |-
    sum by (provider) (rate(vestibule_logins_total{ {{- .ours }}, outcome=~"no_role|missing_source"}[15m]))
      / sum by (provider) (rate(vestibule_logins_total{ {{- .ours -}} }[15m])) > 0.5
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: The role map denies most logins
    description: "{{ "{{ $value | humanizePercentage }}" }} of the logins with {{ "{{ $labels.provider }}" }} get no role. Check recent changes of the role map and of the provider's claims."
- alert: VestibuleProviderNotReady
  expr: min by (provider) (vestibule_provider_ready{ {{- .ours -}} }) == 0
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: An identity provider is not ready
    description: "At least one pod could not fetch the discovery document or the keys of {{ "{{ $labels.provider }}" }}. Users cannot sign in with it on that pod."
- alert: VestibuleProviderKeysOld
  expr: |-
    max by (provider) (
      time() - (vestibule_provider_keys_fetched_timestamp_seconds{ {{- .ours -}} } > 0)
        > vestibule_provider_keys_max_age_seconds{ {{- .ours -}} } / 2
    )
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: The signing keys of an identity provider cannot be fetched
    description: "At least one pod last fetched the keys of {{ "{{ $labels.provider }}" }} {{ "{{ $value | humanizeDuration }}" }} ago. At keys_max_age, logins get 503. Until then, withdrawn keys are accepted."
- alert: VestibuleTokenIssuerKeysOld
  expr: |-
    max by (issuer) (
      time() - (vestibule_token_issuer_keys_fetched_timestamp_seconds{ {{- .ours -}} } > 0)
        > vestibule_token_issuer_keys_max_age_seconds{ {{- .ours -}} } / 2
    )
  for: 10m
  labels: {severity: critical}
  annotations:
    summary: The signing keys of a token issuer cannot be fetched
    description: "At least one pod last fetched the keys of {{ "{{ $labels.issuer }}" }} {{ "{{ $value | humanizeDuration }}" }} ago. At keys_max_age, its tokens get 503. Until then, withdrawn keys are accepted."
- alert: VestibuleRoleMapRefused
  expr: sum(increase(vestibule_role_map_edits_total{ {{- .ours }}, outcome="error"}[15m])) > 0
  labels: {severity: warning}
  annotations:
    summary: An update of the role map was rejected
    description: The last valid role map remains active. The log and the ConfigMap's Events contain the error.
- alert: VestibuleRoleMapsDiffer
  expr: max(vestibule_role_map_rules{ {{- .ours -}} }) != min(vestibule_role_map_rules{ {{- .ours -}} })
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Pods have different role maps
    description: The decision about a request depends on the pod that answers. Check that every pod can reach the API server.
- alert: VestibuleRoleMapStale
  expr: min(vestibule_role_map_watch_up{ {{- .ours -}} }) == 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: A pod does not watch the role map
    description: The pod cannot reach the API server, so updates of the role map are not active there.
- alert: VestibuleRevocationsUnreplicated
  expr: sum(increase(vestibule_store_unreplicated_revocations_total{ {{- .ours -}} }[15m])) > 0
  for: 15m
  labels: {severity: info}
  annotations:
    summary: Sign-outs are not replicated
    description: No Redis replica confirmed them in time, so a failover can undo them.
{{- with .keyRingDays }}
- alert: VestibuleKeyRingOld
  expr: time() - min(vestibule_key_ring_created_timestamp_seconds{ {{- $.ours -}} }) > {{ mul . 86400 }}
  for: 1h
  labels: {severity: info}
  annotations:
    summary: The primary key of the key ring is old
    description: "It was created {{ "{{ $value | humanizeDuration }}" }} ago. Add a new key at the top of the key ring."
{{- end }}
- alert: VestibulePanics
  expr: sum(increase(vestibule_panics_total{ {{- .ours -}} }[15m])) > 0
  labels: {severity: warning}
  annotations:
    summary: Requests ended in a panic
    description: Vestibule answered them with 500. The log contains the location. Please report it.
{{- end -}}
