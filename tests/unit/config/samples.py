"""Configuration texts that several tests share."""

S3 = """\
# validate
storage:
  backend:
    type: s3
    endpoint: https://s3.eu-central-1.amazonaws.com
    region: eu-central-1
    force_path_style: false
    access_key_id: AKIA...
    secret_access_key: ...
"""

FILESYSTEM = """\
# validate
storage:
  backend:
    type: filesystem
    path: /var/lib/deltaglider_proxy/data
"""

SYNC = """\
# validate
advanced:
  config_sync_bucket: my-dgp-iam-sync
"""

EVERYTHING = """\
defaults: v1
admission:
  blocks:
    - name: office
      match:
        method: [get, HEAD]
        source_ip_list: [10.0.0.0/8, "::1"]
        bucket: releases
        path_glob: "*.zip"
        authenticated: false
      action: allow-anonymous
    - name: rest
      action: continue
access:
  iam_mode: gui
  access_key_id: AK
  secret_access_key: hunter2
  iam_users:
    - name: ann
      access_key_id: A1
      secret_access_key: s1
      groups: [staff]
      permissions:
        - {effect: allow, actions: [read], resources: ["b/*"], conditions: {IpAddress: {"aws:SourceIp": "10.0.0.0/8"}}}
  iam_groups:
    - {name: staff, description: All, permissions: []}
  auth_providers:
    - {name: corp, provider_type: oidc, client_id: c, client_secret: s, issuer_url: "https://i"}
  group_mapping_rules:
    - {match_type: domain, match_value: example.com, group: staff}
storage:
  backends:
    - name: disk
      type: filesystem
      path: /srv/data
    - name: cloud
      type: s3
      region: eu-west-1
      encryption: {mode: none}
  default_backend: disk
  buckets:
    Releases:
      compression: true
      max_delta_ratio: 0.5
      backend: disk
      alias: real-releases
      public_prefixes: [public/]
      quota_bytes: 1000
      deltaspace: prefix
    open-data:
      public: true
  replication:
    enabled: true
    tick_interval: 30s
    rules:
      - name: copy
        source: {bucket: releases}
        destination: {bucket: backup, prefix: a/}
        interval: 1h
        conflict: content-diff
  lifecycle:
    enabled: true
    rules:
      - {name: old, bucket: releases, expire_after: 30d}
      - name: move
        bucket: releases
        expire_after: 90d
        action: {type: transition, destination: {bucket: cold}, delete_source_after_success: true}
      - name: newest
        bucket: releases
        action: {type: retain-newest, count: 3, qualify: {min_size_bytes: 1, min_age: 1d}}
advanced:
  listen_addr: 127.0.0.1:9000
  workers: 2
  max_delta_ratio: 1
  max_object_size: 5368709120
  max_passthrough_object_size: 1000
  cache_size_mb: 1024
  metadata_cache_mb: 0
  metadata_index_mb: 10
  cache_dir: /var/cache/dgp
  fsync: false
  codec_concurrency: 4
  codec_timeout_secs: 30
  blocking_threads: 8
  gc_grace: 2h
  log_level: deltaglider_proxy=info,warn
  virtual_host_domain: s3.example.com
  bootstrap_password_hash: $2b$12$abc
  tls: {enabled: false}
  event_delivery:
    enabled: true
    webhook_urls: ["https://hooks.example.com/x"]
    webhook_headers: {Authorization: Bearer hunter2}
    format: slack
    slack_notify_kinds: [ObjectDeleted]
    slack_routes: [{channel: "#a", prefix_globs: ["a/**"]}]
"""

SHORTHANDS = """\
storage:
  s3: https://s3.example.com
  region: eu-west-1
  access_key_id: AK
  secret_access_key: hunter2
  buckets:
    open-data: {public: true}
    closed: {public: false}
"""

DIRECTORY = "storage:\n  filesystem: /srv/data\n"

FLAT = """\
listen_addr: 127.0.0.1:9000
cache_size_mb: 10
access_key_id: AK
secret_access_key: hunter2
admin_password_hash: $2b$12$abc
max_passthrough_object_size: 5
backend: {type: filesystem, path: /srv/data}
buckets: {releases: {public: true}}
replication: {enabled: false}
event_delivery: {enabled: false}
iam_users: []
admission_blocks:
  - {name: all, action: continue}
"""

FLAT_TOML = """\
listen_addr = "127.0.0.1:9000"
cache_size_mb = 10
access_key_id = "AK"
secret_access_key = "hunter2"

[backend]
type = "filesystem"
path = "/srv/data"

[buckets.releases]
public = true

[tls]
enabled = false
"""

VALID = {
    "s3": S3,
    "filesystem": FILESYSTEM,
    "sync": SYNC,
    "everything": EVERYTHING,
    "shorthands": SHORTHANDS,
    "directory": DIRECTORY,
    "flat": FLAT,
    "empty": "",
    "comments": "# nothing\n",
    "empty sections": "storage:\naccess:\n",
}
