"""Which lifecycle rules take what deltas need: they decide whether deltas are made at all."""

import pytest

from deltaglider_proxy.storage.backends.s3.bucket_rules import touching
from deltaglider_proxy.storage.backends.s3.documents import Malformed

EXPIRES = "<Expiration><Days>1</Days></Expiration>"


def found(where: str, act: str = EXPIRES, status: str = "Enabled") -> list[str]:
    rule = f"<Rule><ID>r</ID>{where}<Status>{status}</Status>{act}</Rule>"
    return touching(f'<LifecycleConfiguration xmlns="http://s3">{rule}</LifecycleConfiguration>'.encode())


@pytest.mark.parametrize(
    "where",
    [
        "",
        "<Prefix/>",
        "<Filter/>",
        "<Filter><Prefix>.delta</Prefix></Filter>",
        "<Prefix>.deltaglider/v1/refs/</Prefix>",
        "<Filter><And><Prefix>.d</Prefix><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></And></Filter>",
    ],
)
def test_a_rule_about_what_is_ours_is_named(where: str) -> None:
    assert found(where) == ["rule 'r' (Expiration) applies to .deltaglider/"]


@pytest.mark.parametrize(
    "where",
    [
        "<Filter><Prefix>logs/</Prefix></Filter>",
        "<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>",
        "<Filter><And><Prefix>.deltaglider/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag></And></Filter>",
    ],
)
def test_a_rule_about_other_objects_is_not(where: str) -> None:
    assert found(where) == []


@pytest.mark.parametrize(
    "act",
    [
        "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
        "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>",
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>",
        "<Transition><Days>30</Days><StorageClass>STANDARD_IA</StorageClass></Transition>",
        "<Transition><Days>30</Days><StorageClass>GLACIER_IR</StorageClass></Transition>",
    ],
)
def test_what_leaves_current_objects_where_they_can_be_read_does_no_harm(act: str) -> None:
    assert found("", act) == []


@pytest.mark.parametrize(
    "act",
    [
        "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>",
        "<Transition><Days>30</Days><StorageClass>GLACIER</StorageClass></Transition>",
        "".join(f"<Transition><StorageClass>{name}</StorageClass></Transition>" for name in ("ONEZONE_IA", "X")),
    ],
)
def test_what_removes_objects_or_freezes_them_does(act: str) -> None:
    assert len(found("", act)) == 1


def test_a_rule_that_is_switched_off_does_nothing() -> None:
    assert found("", status="Disabled") == []


def test_what_is_no_document_is_an_error() -> None:
    with pytest.raises(Malformed):
        touching(b"<Lifecycle")
