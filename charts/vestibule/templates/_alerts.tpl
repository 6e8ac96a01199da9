{{/* The alerts. Each names metrics of docs/metrics.md alone. Takes `ours`, the label matchers of this release, and `keyRingDays`. */}}

{{- define "vestibule.alerts" -}}
- alert: VestibuleAbsent
  expr: absent(vestibule_build_info{ {{- .ours -}} })
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: No Vestibule pod is scraped
    description: The gateway refuses or fails every request when no pod answers its checks.
- alert: VestibuleStoreAway
  expr: sum(rate(vestibule_store_commands_total{ {{- .ours }}, outcome=~"unavailable|unknown"}[2m])) > 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: The store doesn't answer
    description: Nobody can sign in. Who is signed in is served for cache.revocation_grace, then gets 503.
- alert: VestibuleChecksUnavailable
  expr: sum(rate(vestibule_checks_total{ {{- .ours }}, outcome="unavailable"}[2m])) > 0
  for: 2m
  labels: {severity: critical}
  annotations:
    summary: Checks are answered with 503
    description: "{{ "{{ $value | humanize }}" }} checks a second could not be decided, and their requests failed."
- alert: VestibuleProofOld
  expr: max by (pod) (vestibule_cache_proof_age_seconds{ {{- .ours -}} }) > 3
  for: 1m
  labels: {severity: warning}
  annotations:
    summary: A pod can't prove its cache
    description: "{{ "{{ $labels.pod }}" }} lives on the grace since {{ "{{ $value | humanizeDuration }}" }}; a sign-out may stay unseen for so long."
- alert: VestibuleLoginFailures
  expr: |-
    sum by (provider) (rate(vestibule_logins_total{ {{- .ours }}, outcome=~"provider_failed|store_failed"}[15m]))
      / sum by (provider) (rate(vestibule_logins_total{ {{- .ours -}} }[15m])) > 0.1
  for: 10m
  labels: {severity: warning}
  annotations:
    summary: Logins fail
    description: "{{ "{{ $value | humanizePercentage }}" }} of the logins with {{ "{{ $labels.provider }}" }} fail by the provider or the store."
- alert: VestibulePeopleTurnedAway
  expr: |-
    sum by (provider) (rate(vestibule_logins_total{ {{- .ours }}, outcome=~"no_role|missing_source"}[15m]))
      / sum by (provider) (rate(vestibule_logins_total{ {{- .ours -}} }[15m])) > 0.5
  for: 15m
  labels: {severity: warning}
  annotations:
    summary: The role map turns most people away
    description: "{{ "{{ $value | humanizePercentage }}" }} of the logins with {{ "{{ $labels.provider }}" }} get no role. The role map or the provider's claims have changed."
- alert: VestibuleProviderNotReady
  expr: min by (provider) (vestibule_provider_ready{ {{- .ours -}} }) == 0
  for: 5m
  labels: {severity: critical}
  annotations:
    summary: An identity provider isn't known
    description: "On a pod nobody can sign in with {{ "{{ $labels.provider }}" }}: its discovery document or keys could not be fetched."
- alert: VestibuleRoleMapRefused
  expr: sum(increase(vestibule_role_map_edits_total{ {{- .ours }}, outcome="error"}[15m])) > 0
  labels: {severity: warning}
  annotations:
    summary: An edit of the role map was refused
    description: The last good one stays in force. The log and the ConfigMap's Events say what is wrong.
- alert: VestibuleRoleMapsDiffer
  expr: max(vestibule_role_map_rules{ {{- .ours -}} }) != min(vestibule_role_map_rules{ {{- .ours -}} })
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: Pods have different role maps
    description: What somebody may do depends on the pod that is asked.
- alert: VestibuleRoleMapStale
  expr: min(vestibule_role_map_watch_up{ {{- .ours -}} }) == 0
  for: 5m
  labels: {severity: warning}
  annotations:
    summary: The role map isn't watched
    description: A pod doesn't reach the API server; edits are not in force there.
- alert: VestibuleRevocationsUnreplicated
  expr: sum(increase(vestibule_store_unreplicated_revocations_total{ {{- .ours -}} }[15m])) > 0
  for: 15m
  labels: {severity: info}
  annotations:
    summary: Sign-outs are on one Redis only
    description: No replica confirmed them in time; a failover could undo them.
{{- with .keyRingDays }}
- alert: VestibuleKeyRingOld
  expr: time() - min(vestibule_key_ring_created_timestamp_seconds{ {{- $.ours -}} }) > {{ mul . 86400 }}
  for: 1h
  labels: {severity: info}
  annotations:
    summary: The key that seals is old
    description: "It was made {{ "{{ $value | humanizeDuration }}" }} ago. Put a new one on top of the key ring."
{{- end }}
- alert: VestibulePanics
  expr: sum(increase(vestibule_panics_total{ {{- .ours -}} }[15m])) > 0
  labels: {severity: warning}
  annotations:
    summary: Requests ended in a panic
    description: They were answered with 500. The log has where; please report it.
{{- end -}}
