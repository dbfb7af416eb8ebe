from pathlib import Path

import pytest

from deltaglider_proxy.config.findings import ErrorKind, Finding, Severity
from deltaglider_proxy.config.load import LintReport, lint
from tests.unit.config import samples

QUIET = {
    "DGP_TRUST_PROXY_HEADERS": "true",
    "DGP_TRUSTED_PROXY_CIDRS": "10.0.0.0/8",
    "DGP_AUTHENTICATION": "none",
}


def judge(tmp_path: Path, text: str, name: str = "c.yaml", **environ: str) -> LintReport:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return lint(path, QUIET | environ)


@pytest.mark.parametrize("name", samples.VALID)
def test_samples_pass(tmp_path: Path, name: str) -> None:
    assert judge(tmp_path, samples.VALID[name]).errors == ()


def test_a_plain_file_has_no_findings(tmp_path: Path) -> None:
    assert judge(tmp_path, samples.FILESYSTEM) == LintReport(None, (), ())


def test_toml_passes_with_a_note(tmp_path: Path) -> None:
    report = judge(tmp_path, samples.FLAT_TOML, "c.toml")
    assert report.errors == ()
    assert ["TOML is deprecated" in str(note) for note in report.notes] == [True]


def test_the_note_about_toml_can_be_muted(tmp_path: Path) -> None:
    assert judge(tmp_path, samples.FLAT_TOML, "c.TOML", DGP_SILENCE_TOML_DEPRECATION="Yes").notes == ()


def test_a_missing_file_is_an_io_error(tmp_path: Path) -> None:
    report = lint(tmp_path / "missing.yaml", QUIET)
    assert report.kind is ErrorKind.IO
    assert "failed to read" in str(report.errors[0])


def test_a_directory_is_an_io_error(tmp_path: Path) -> None:
    assert lint(tmp_path, QUIET).kind is ErrorKind.IO


PARSE = {
    "a: [": "not valid YAML",
    "a: 1\na: 2": "second time",
    "- 1": "mapping",
    "text": "mapping",
    "storage: ${env:MISSING}": "MISSING is not set",
    "listen_addr: 127.0.0.1:1\nstorage: {}": "flat shape",
    "storage: []": "mapping",
    "encryption_key: abc": "storage.backend_encryption",
    "advanced: {encryption_key: abc}": "storage.backend_encryption",
    "admin_password_hash: a\nbootstrap_password_hash: b": "means the same",
    "defaults: v2": "must be one of v1",
    "storage: {backend: {path: x}}": "storage.backend.type: is required",
    "storage: {backend: {type: filesystem}}": "storage.backend.path: is required",
    "storage: {backend: {type: S3}}": "did you mean `s3`?",
    "storage: {backend: text}": "must be a mapping",
    "storage: {backends: [{type: s3}]}": "storage.backends[0].name: is required",
    "storage: {backends: {a: {type: s3}}}": "must be a list",
    "storage: {buckets: {a: {compression: 'true'}}}": "without quotes",
    "storage: {buckets: {a: {public: maybe}}}": "must be true or false",
    "storage: {buckets: {a: {quota_bytes: -1}}}": "at least 0",
    "storage: {buckets: {a: {deltaspace: folder}}}": "must be one of family, prefix",
    "storage: {backend_encryption: {mode: aes}}": "must be one of none, aes256-gcm-proxy, sse-kms, sse-s3",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, action: remove}]}}": "must be one of",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, action: {type: remove}}]}}": "retain-newest",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, action: {type: retain-newest, count: 0}}]}}": "at least 1",
    "storage: {replication: {tick_interval: 30}}": "unit",
    "storage: {replication: {tick_interval: soon}}": "duration",
    "access: {iam_mode: declarativ}": "did you mean `declarative`?",
    "access: {access_key_id: 5}": "put the value in quotes",
    "access: {access_key_id: 1:30, authentication: [none]}": "must be text",
    "advanced: {listen_addr: localhost:9000}": "IP:PORT",
    "advanced: {listen_addr: 9000}": "IP:PORT",
    "advanced: {cache_size_mb: '100'}": "remove the quotes",
    "advanced: {cache_size_mb: 1.5}": "whole number",
    "advanced: {cache_size_mb: true}": "whole number",
    "advanced: {cache_size_mb: null}": "remove the key",
    "advanced: {codec_concurrency: 0}": "at least 1",
    "advanced: {workers: 0}": "at least 1",
    "advanced: {max_delta_ratio: '0.5'}": "must be a number",
    "advanced: {gc_grace: 86400}": "unit",
    "admission: {blocks: [{name: a}]}": "admission.blocks[0].action: is required",
    "admission: {blocks: [{name: a, action: allow}]}": "must be one of allow-anonymous, deny, continue",
    "admission: {blocks: [{name: a, action: {type: reject}}]}": "admission.blocks[0].action.status: is required",
    "admission: {blocks: [{name: a, action: deny, match: {source_ip: 1.2.3}}]}": "IPv4 or IPv6",
    "admission: {blocks: [{name: a, action: deny, match: {source_ip_list: [1.2.3.4/40]}}]}": "network",
}


@pytest.mark.parametrize("text", PARSE)
def test_texts_that_cannot_be_understood(tmp_path: Path, text: str) -> None:
    report = judge(tmp_path, text)
    assert report.kind is ErrorKind.PARSE
    assert PARSE[text] in "\n".join(map(str, report.errors))


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"# ok\na: \xff\n")
    report = lint(path, QUIET)
    assert (report.kind, report.errors[0].line) == (ErrorKind.PARSE, 2)


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(samples.FILESYSTEM, encoding="utf-8-sig")
    assert lint(path, QUIET).errors == ()


def test_toml_errors_have_a_place(tmp_path: Path) -> None:
    report = judge(tmp_path, "a = 1\nb = = 2\n", "c.toml")
    assert report.kind is ErrorKind.PARSE
    assert report.errors[0].line == 2


def test_toml_dates_are_no_text(tmp_path: Path) -> None:
    report = judge(tmp_path, "access_key_id = 2026-01-01", "c.toml")
    assert (report.kind, report.errors[0].path) == (ErrorKind.PARSE, "access_key_id")


VALIDATION = {
    "storage: {s3: https://s3.example.com, filesystem: /x}": "storage.filesystem",
    "storage: {s3: https://s3.example.com, backend: {type: filesystem, path: /x}}": "storage.s3",
    "storage: {filesystem: /x, region: eu}": "storage.region",
    "storage: {s3: ''}": "storage.s3",
    "storage: {s3: s3.example.com}": "storage.s3",
    "storage: {filesystem: ''}": "storage.filesystem",
    "storage: {filesystem: a/../b}": "storage.filesystem",
    "storage: {backend: {type: filesystem, path: ..}}": "storage.backend.path",
    "storage: {backend: {type: s3, endpoint: 'https://u:hunter2@h.example.com'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'http://h.example.com'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'https://localhost'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'https://10.0.0.1'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'https://[::1]:9000'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'ftp://h.example.com'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'https://'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, endpoint: 'https://h.example.com:99999'}}": "storage.backend.endpoint",
    "storage: {backend: {type: s3, allow_local: true, endpoint: 'http://169.254.169.254'}}": "storage.backend.endpoint",
    "storage: {buckets: {abc: {public: true, public_prefixes: [a/]}}}": "storage.buckets.abc.public",
    "storage: {buckets: {abc: {public_prefixes: [a]}}}": "storage.buckets.abc.public_prefixes[0]",
    "storage: {buckets: {abc: {public_prefixes: [ok/, a/../b/]}}}": "storage.buckets.abc.public_prefixes[1]",
    "storage: {buckets: {abc: {public_prefixes: ['/']}}}": "storage.buckets.abc.public_prefixes[0]",
    "storage: {buckets: {Abc: {}, abc: {}}}": "storage.buckets.abc",
    "storage: {buckets: {a_b: {}}}": "storage.buckets.a_b",
    "storage: {buckets: {1.2.3.4: {}}}": 'storage.buckets."1.2.3.4"',
    "storage: {buckets: {abc: {alias: X}}}": "storage.buckets.abc.alias",
    "storage: {buckets: {abc: {backend: eu}}}": "storage.buckets.abc.backend",
    "storage: {default_backend: eu}": "storage.default_backend",
    "storage: {backends: [{name: a, type: s3}], default_backend: default}": "storage.default_backend",
    "storage: {backends: [{name: a, type: s3}, {name: a, type: s3}]}": "storage.backends[1].name",
    "storage: {backends: [{name: '', type: s3}]}": "storage.backends[0].name",
    "storage: {backend_encryption: {mode: aes256-gcm-proxy, key: short}}": "storage.backend_encryption.key",
    "storage: {backend_encryption: {mode: sse-s3}}": "storage.backend_encryption.mode",
    "storage: {lifecycle: {rules: [{name: a, bucket: b}]}}": "storage.lifecycle.rules[0].expire_after",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, expire_after: x}]}}": "storage.lifecycle.rules[0].expire_after",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, expire_after: 1d, include_globs: ['[']}]}}": (
        "storage.lifecycle.rules[0].include_globs[0]"
    ),
    "access: {authentication: basic}": "access.authentication",
    "advanced: {log_level: '!!!x'}": "advanced.log_level",
    "advanced: {log_level: 'a=verbose'}": "advanced.log_level",
    "advanced: {log_level: 'a[span{k=v}]=info'}": "advanced.log_level",
    "advanced: {gc_grace: 59m}": "advanced.gc_grace",
    "advanced: {tls: {cert_path: a}}": "advanced.tls.key_path",
    "advanced: {tls: {enabled: true, key_path: a}}": "advanced.tls.cert_path",
    "advanced: {cache_dir: ./data/cache}": "advanced.cache_dir",
    "advanced: {cache_dir: ''}": "advanced.cache_dir",
    "advanced: {virtual_host_domain: 'https://a'}": "advanced.virtual_host_domain",
    "advanced: {config_sync_bucket: abc}\nstorage: {buckets: {abc: {}}}": "storage.buckets.abc",
    "admission: {blocks: [{name: a, action: continue}, {name: a, action: continue}]}": "admission.blocks[1].name",
    "admission: {blocks: [{name: 'public-prefix:x', action: continue}]}": "admission.blocks[0].name",
    "admission: {blocks: [{name: 'a b', action: continue}]}": "admission.blocks[0].name",
    "admission: {blocks: [{name: a, action: {type: reject, status: 200}}]}": "admission.blocks[0].action.status",
    "admission: {blocks: [{name: a, action: continue, match: {method: []}}]}": "admission.blocks[0].match.method",
    "admission: {blocks: [{name: a, action: continue, match: {method: [GO]}}]}": "admission.blocks[0].match.method[0]",
    "admission: {blocks: [{name: a, action: continue, match: {path_glob: '{'}}]}": (
        "admission.blocks[0].match.path_glob"
    ),
    "admission: {blocks: [{name: a, action: continue, match: {source_ip: 1.2.3.4, source_ip_list: []}}]}": (
        "admission.blocks[0].match.source_ip"
    ),
    "admission_blocks: [{name: 'a b', action: continue}]": "admission_blocks[0].name",
    "cache_dir: data\nbackend: {type: filesystem, path: ./}": "cache_dir",
    "access: {iam_mode: declarative, iam_users: [{name: $a, access_key_id: b}]}": "access.iam_users[0].name",
    "access: {iam_mode: declarative, iam_users: [{name: a, access_key_id: b, groups: [c]}]}": (
        "access.iam_users[0].groups[0]"
    ),
    "access: {iam_mode: declarative, iam_groups: [{name: a}, {name: a}]}": "access.iam_groups[1].name",
    "access: {iam_mode: declarative, iam_groups: [{name: a, permissions: [{actions: [fly], resources: [b]}]}]}": (
        "access.iam_groups[0].permissions[0].actions[0]"
    ),
    "access: {iam_mode: declarative, iam_groups: [{name: a, permissions: [{actions: [read], resources: ['a*b']}]}]}": (
        "access.iam_groups[0].permissions[0].resources[0]"
    ),
    "access: {iam_mode: declarative, group_mapping_rules: [{match_type: a, match_value: b, group: c}]}": (
        "access.group_mapping_rules[0].group"
    ),
    "storage: {backends: [{name: a, type: filesystem, path: d}, {name: b, type: filesystem, path: ./d}]}": (
        "storage.backends[0].path"
    ),
    "storage: {backends: [{name: a, type: filesystem, path: d}, {name: b, type: filesystem, path: d/e}]}": (
        "storage.backends[1].path"
    ),
    "storage: {backend: {type: filesystem, path: d}}\nadvanced: {audit_dir: d/audit}": "storage.backend.path",
    "advanced: {database_url: nonsense}": "advanced.database_url",
}


@pytest.mark.parametrize("text", VALIDATION)
def test_texts_that_a_rule_rejects(tmp_path: Path, text: str) -> None:
    report = judge(tmp_path, text)
    assert report.kind is ErrorKind.VALIDATION
    assert VALIDATION[text] in [finding.path for finding in report.errors]
    assert all(finding.line is not None for finding in report.errors)


def test_all_errors_are_reported(tmp_path: Path) -> None:
    report = judge(tmp_path, "advanced:\n  workers: 0\n  cache_sise_mb: 1\nstorage:\n  backend: {type: x}\n")
    assert sorted((finding.line or 0) for finding in report.errors) == [2, 3, 5]


def test_rules_of_all_sections_are_reported_together(tmp_path: Path) -> None:
    report = judge(tmp_path, "advanced:\n  gc_grace: 1s\nstorage:\n  default_backend: x\n")
    assert {finding.path for finding in report.errors} == {"advanced.gc_grace", "storage.default_backend"}


WARNINGS = {
    "advanced: {max_delta_ratio: 2}": "outside 0 to 1",
    "advanced: {max_delta_ratio: .nan}": "0.75 is used",
    "advanced: {max_object_size: 0}": "refuses every upload",
    "advanced: {max_object_size: 5, max_passthrough_object_size: 6}": "has no effect",
    "advanced: {config_sync_object_key: ' '}": "blank",
    "advanced: {config_sync_bucket: abc}\naccess: {iam_mode: declarative}": "in one another's way",
    "advanced: {tls: {cert_path: a, key_path: b}}": "without TLS",
    "access: {access_key_id: a}": "half a key pair",
    "storage: {backend: {type: s3, access_key_id: a}}": "half a key pair",
    "storage: {buckets: {abc: {max_delta_ratio: 1.5}}}": "ignored",
    "storage: {buckets: {abc: {quota_bytes: 0}}}": "frozen",
    "storage: {buckets: {abc: {public: true}}}": "whole bucket",
    "storage: {buckets: {abc: {public_prefixes: [/a/]}}}": "leading `/`",
    "storage: {backends: [{name: a, type: s3}], backend: {type: filesystem, path: x}}": "is ignored",
    "storage: {backends: [{name: a-b, type: s3}, {name: a.b, type: s3}]}": "shares its environment variables",
    "storage: {backends: [{name: 'a b', type: s3}]}": "no environment variable",
    "storage: {replication: {lease_ttl: 30s}}": "less than lease_ttl",
    "storage: {replication: {transfers: 65}}": "nearest of 1 to 64",
    "storage: {replication: {rules: [{name: a, source: {bucket: x}, destination: {bucket: X}}]}}": "copies to itself",
    "storage: {replication: {rules: [{name: a, source: {bucket: x}, destination: {bucket: y}}, "
    "{name: b, source: {bucket: y}, destination: {bucket: x}}]}}": "back to the source",
    "storage: {replication: {rules: [{name: a, source: {bucket: x}, destination: {bucket: y}}, "
    "{name: b, source: {bucket: z}, destination: {bucket: y, prefix: a}}]}}": "overlaps the destination",
    "storage: {lifecycle: {tick_interval: 1s}}": "60s is used",
    "storage: {lifecycle: {rules: [{name: a, bucket: b, expire_after: 1d, "
    "action: {type: retain-newest, count: 1}}]}}": "no effect on retain-newest",
    "admission: {blocks: [{name: a, action: continue, match: {config_flag: x}}]}": "no known flag",
    "advanced: {event_delivery: {enabled: true}}": "nothing is delivered",
    "advanced: {event_delivery: {webhook_url: hooks}}": "absolute http",
    "advanced: {event_delivery: {batch_size: 501}}": "nearest of 1 to 500",
    "advanced: {event_delivery: {webhook_headers: {'a b': c}}}": "no header",
    "access: {iam_mode: declarative, iam_groups: [{name: a, permissions: "
    "[{actions: [read], resources: ['${username}/*']}]}]}": "never filled in",
}


@pytest.mark.parametrize("text", WARNINGS)
def test_doubtful_texts_pass_with_a_warning(tmp_path: Path, text: str) -> None:
    report = judge(tmp_path, text)
    assert report.errors == ()
    assert WARNINGS[text] in "\n".join(map(str, report.warnings))


@pytest.mark.parametrize(
    "text",
    [
        "access: {secret_acess_key: hunter2}",
        "access: {secret_access_key: [hunter2]}",
        "access: {secret_access_key: {a: hunter2}}",
        "access: hunter2",
        "storage: {backend: {type: s3, secret_access_key: {a: hunter2}}}",
        "storage: {backend: hunter2}",
        "storage: {backend_encryption: {mode: aes256-gcm-proxy, key: hunter2}}",
        "storage: {s3: 'https://u:hunter2@h.example.com'}",
        "advanced: {event_delivery: {webhook_headers: hunter2, webhook_url: {a: hunter2}}}",
        "advanced: {event_delivery: {webhook_urls: [hunter2], webhook_headers: {A: 'hunter2\0'}}}",
        "advanced: {bootstrap_password_hash: [hunter2]}",
        "hunter_key: hunter2",
    ],
)
def test_no_finding_shows_a_secret(tmp_path: Path, text: str) -> None:
    report = judge(tmp_path, text)
    findings = [*report.errors, *report.warnings]
    assert findings
    assert not [finding for finding in findings if "hunter2" in f"{finding} {finding.value}"]


def test_a_value_from_the_environment_is_shown_as_its_reference(tmp_path: Path) -> None:
    report = judge(tmp_path, "advanced:\n  listen_addr: ${env:ADDR}\n", ADDR="somewhere")
    assert [(finding.value, "somewhere" in str(finding)) for finding in report.errors] == [("${env:ADDR}", False)]


@pytest.mark.parametrize("value", ["12345", "true", "1.5", "null", "0x10"])
def test_a_reference_may_fill_a_text_with_what_looks_like_a_number(tmp_path: Path, value: str) -> None:
    assert judge(tmp_path, "access: {access_key_id: AK, secret_access_key: '${env:S}'}", S=value).errors == ()
    report = judge(tmp_path, "access:\n  access_key_id: ${env:S}\n  secret_access_key: ${env:S}\n", S=value)
    assert report.errors == ()


def test_a_reference_may_become_a_number_or_a_list(tmp_path: Path) -> None:
    text = "advanced:\n  cache_size_mb: ${env:MB}\nstorage:\n  buckets: {abc: {public_prefixes: ${env:PUBLIC}}}\n"
    assert judge(tmp_path, text, MB="5", PUBLIC="[a/, b/]").errors == ()


def test_the_environment_supplies_what_may_be_missing(tmp_path: Path) -> None:
    text = "access: {access_key_id: AK}"
    assert ["half" in str(finding) for finding in judge(tmp_path, text).warnings] == [True]
    assert judge(tmp_path, text, DGP_SECRET_ACCESS_KEY="s").warnings == ()


def test_the_environment_overrides_nothing_else(tmp_path: Path) -> None:
    assert judge(tmp_path, "advanced: {listen_addr: x}", DGP_LISTEN_ADDR="127.0.0.1:1").kind is ErrorKind.PARSE
    assert judge(tmp_path, samples.FILESYSTEM, DGP_LISTEN_ADDR="nonsense").errors == ()


def test_a_file_that_says_nothing_about_access_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(samples.FILESYSTEM)
    warnings = lint(path, {}).warnings
    assert [finding.path for finding in warnings] == ["", "access"]
    assert "DGP_TRUST_PROXY_HEADERS" in str(warnings[0])
    assert "will not start" in str(warnings[1])


@pytest.mark.parametrize(
    "text",
    [
        f"storage: {{backend_encryption: {{mode: aes256-gcm-proxy, key: '{'a' * 64}'}}}}",
    ],
)
def test_protection_that_this_release_lacks_is_refused_and_not_ignored(tmp_path: Path, text: str) -> None:
    report = judge(tmp_path, text)
    assert report.kind is ErrorKind.VALIDATION
    assert "this release does not" in str(report.errors[0])


def test_info_is_marked(tmp_path: Path) -> None:
    report = judge(tmp_path, "storage: {buckets: {abc: {quota_bytes: 0}}}")
    [finding] = [finding for finding in report.warnings if finding.severity is Severity.INFO]
    assert str(finding).startswith("(info) ")


def test_findings_say_where_what_and_how() -> None:
    finding = Finding(Severity.ERROR, ("a", 0, "b.c"), "is wrong", "mend it", "5", 3, 7)
    assert str(finding) == 'line 3, column 7: a[0]."b.c": is wrong (found 5); mend it'


def test_trust_in_every_peer_asks_for_networks(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(samples.FILESYSTEM)
    everyone = {"DGP_TRUST_PROXY_HEADERS": "true", "DGP_AUTHENTICATION": "none"}
    [finding] = lint(path, everyone).warnings
    assert "DGP_TRUSTED_PROXY_CIDRS" in str(finding)
