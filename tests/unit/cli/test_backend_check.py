"""What `backend check` says of buckets that it only looked at, and of those that it could not look at."""

import pytest

from deltaglider_proxy.cli.backend_check import Checked, _plain, _show
from deltaglider_proxy.storage.backends.s3.bucket_rules import BucketRules

RULE = "rule 'tidy' (Expiration) applies to .deltaglider/"


@pytest.mark.parametrize(
    ("checked", "lines"),
    [
        (Checked("far", "quiet"), []),
        (
            Checked("far", "b", rules=BucketRules(versioned=True, lifecycle=(RULE,), notes=("look yourself",))),
            [
                f"error: far b: no deltas are made here, since a lifecycle rule would remove what they need: {RULE}",
                "note: far b: old versions of all that is overwritten or deleted are kept, internal objects too",
                "note: far b: look yourself",
            ],
        ),
        (Checked("far", "b", "there is no such bucket"), ["error: far b: there is no such bucket"]),
    ],
)
def test_a_bucket_in_words(checked: Checked, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    _show(checked)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()) == ("", lines)


def test_a_bucket_that_was_not_tried_as_json() -> None:
    assert _plain(Checked("far", "b", rules=BucketRules(lifecycle=(RULE,)))) == {
        "backend": "far",
        "bucket": "b",
        "ok": False,
        "deltas": False,
        "tried": False,
        "versioned": False,
        "lifecycle": [RULE],
        "notes": [],
    }
