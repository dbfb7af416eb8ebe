"""Questions about keys and listings, uploads and buckets."""

import hashlib
from functools import partial
from urllib.parse import quote

from tests.integration.services.place import Place, outcome, question


@question("order of a-b  a.b  a/b", "a-b a.b a/b")
def _(at: Place) -> str:
    for key in ("a/b", "a.b", "a-b"):
        at.put(f"order2/{key}")
    return " ".join(key.removeprefix("order2/") for key in at.keys("order2/"))


@question("order of é, U+FFFF and U+1F600", "by bytes")
def _(at: Place) -> str:
    names = ["z", "é", "\uffff", "\U0001f600"]
    for name in names:
        outcome(partial(at.put, f"order3/{name}"))
    found = [key.removeprefix("order3/") for key in at.keys("order3/")]
    return "by bytes" if found == names else ascii(found)


def kept(at: Place, names: tuple[str, ...]) -> str:
    """The first thing that went wrong with keys: put in turn, then read and listed under one prefix."""
    prefix = f"k{hashlib.md5(repr(names).encode()).hexdigest()[:8]}/"
    bodies = {name: str(number).encode() for number, name in enumerate(names)}
    for name, body in bodies.items():
        put = outcome(partial(at.put, prefix + name, body))
        if put != "done":
            return f"put {name[:10]!r}: {put}"
    for name, body in bodies.items():
        found = at.read(prefix + name)
        if found != body:
            return f"{name!r} reads as {names[int(found)]!r}"
    listed = [key.removeprefix(prefix) for key in at.keys(prefix)]
    return "kept" if sorted(listed) == sorted(names) else f"listed as {listed!a}"


KEYS = {
    "a beside a/b": ("a", "a/b"),
    "a/b beside a": ("a/b", "a"),
    "a//b beside a/b": ("a//b", "a/b"),
    "/a": ("/a",),
    "a/../b beside b": ("a/../b", "b"),
    "a/./b beside a/b": ("a/./b", "a/b"),
    "a/..": ("a/..",),
    ".": (".",),
    "x/ with a body": ("x/",),
    "x/ beside x/y": ("x/", "x/y"),
    "x beside x/": ("x", "x/"),
    "A beside a": ("A", "a"),
    "non-ASCII": ("é", "e\u0301", "日本"),
    "U+1F600": ("\U0001f600",),
    "backslash": ("a\\b",),
    "+ % & space": ("a b+%2F?&<>\"'",),
    "trailing space": ("a ", "a"),
    "control character": ("a\x01b",),
    "line feed": ("a\nb",),
    "255 bytes without /": ("n" * 255,),
    "256 bytes without /": ("n" * 256,),
}

for _name, _keys in KEYS.items():
    question(f"key {_name}", "kept")(partial(kept, names=_keys))


@question("key of 1024 bytes with /", "kept")
def _(at: Place) -> str:
    return "kept" if outcome(lambda: at.put("/".join(["s" * 100] * 11)[:1024])) == "done" else "refused"


@question("key of 1024 bytes without /", "done")
def _(at: Place) -> str:
    return outcome(lambda: at.put("n" * 1024))


@question("key of 1025 bytes", "400 KeyTooLongError")
def _(at: Place) -> str:
    return outcome(lambda: at.put("/".join(["s" * 100] * 11)[:1025]))


@question("empty x/ in a listing with delimiter", "contents x/, prefixes x/y/")
def _(at: Place) -> str:
    at.put("folder/x/", b"")
    at.put("folder/x/y/z")
    found = at.client.list_objects_v2(Bucket=at.bucket, Prefix="folder/x/", Delimiter="/")
    contents = " ".join(entry["Key"].removeprefix("folder/") for entry in found.get("Contents", []))
    prefixes = " ".join(entry["Prefix"].removeprefix("folder/") for entry in found.get("CommonPrefixes", []))
    return f"contents {contents}, prefixes {prefixes}"


@question("prefix of a deleted object", "gone")
def _(at: Place) -> str:
    at.put("lonely/x/y")
    at.client.delete_object(Bucket=at.bucket, Key="lonely/x/y")
    found = at.client.list_objects_v2(Bucket=at.bucket, Prefix="lonely", Delimiter="/")
    return "still there" if found.get("CommonPrefixes") or found.get("Contents") else "gone"


@question("delete x/ that was never put", "done, x/y still there")
def _(at: Place) -> str:
    at.put("never/x/y")
    said = outcome(lambda: at.client.delete_object(Bucket=at.bucket, Key="never/x/"))
    return f"{said}, x/y {'still there' if at.keys('never/') else 'gone'}"


@question("get x/ that was never put", "404 NoSuchKey")
def _(at: Place) -> str:
    at.put("ghost/x/y")
    return outcome(lambda: at.read("ghost/x/"))


@question("get x where only x/y is", "404 NoSuchKey")
def _(at: Place) -> str:
    at.put("ghost2/x/y")
    return outcome(lambda: at.read("ghost2/x"))


@question("encoding-type=url", "obeyed")
def _(at: Place) -> str:
    names = ["url/a b", "url/a%2Fb", "url/a+b", "url/é"]
    for name in names:
        at.put(name)
    found = at.client.list_objects_v2(Bucket=at.bucket, Prefix="url/", EncodingType="url")
    listed = [entry["Key"] for entry in found.get("Contents", [])]
    expected = [quote(name) for name in sorted(names)]
    return "obeyed" if listed in (expected, [name.replace("%20", "+") for name in expected]) else "ignored"


@question("encoding-type=url, prefixes", "url2/a+b/ or url2/a%20b/")
def _(at: Place) -> str:
    at.put("url2/a b/c")
    found = at.client.list_objects_v2(Bucket=at.bucket, Prefix="url2/", Delimiter="/", EncodingType="url")
    listed = [entry["Prefix"] for entry in found.get("CommonPrefixes", [])]
    return "url2/a+b/ or url2/a%20b/" if listed in (["url2/a+b/"], ["url2/a%20b/"]) else repr(listed)


def listing(at: Place, prefix: str, start: str, most: int = 1000) -> str:
    for name in ("a/1", "a/2", "b", "c/1", "d"):
        at.put(f"{prefix}{name}")
    found = at.client.list_objects_v2(
        Bucket=at.bucket, Prefix=prefix, Delimiter="/", StartAfter=f"{prefix}{start}", MaxKeys=most
    )
    listed = [entry["Key"] for entry in found.get("Contents", [])]
    listed += [entry["Prefix"] for entry in found.get("CommonPrefixes", [])]
    return " ".join(sorted(name.removeprefix(prefix) for name in listed))


@question("start-after a/1 with delimiter", "not documented")
def _(at: Place) -> str:
    return listing(at, "start1/", "a/1")


@question("start-after a/2 with delimiter", "b c/ d")
def _(at: Place) -> str:
    return listing(at, "start2/", "a/2")


@question("start-after a/ with delimiter", "not documented")
def _(at: Place) -> str:
    return listing(at, "start3/", "a/")


@question("start-after b, absent names", "c/ d")
def _(at: Place) -> str:
    return listing(at, "start4/", "bb")


@question("pages of one with delimiter", "a/ b c/ d")
def _(at: Place) -> str:
    listing(at, "pages/", "")
    pages = at.client.get_paginator("list_objects_v2").paginate(
        Bucket=at.bucket, Prefix="pages/", Delimiter="/", PaginationConfig={"PageSize": 1}
    )
    names: list[str] = []
    for number, page in enumerate(pages):
        names += [entry["Key"] for entry in page.get("Contents", [])]
        names += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        if number > 20:
            return "endless"
    return " ".join(name.removeprefix("pages/") for name in names)


@question("max-keys=0", "0 keys, not truncated")
def _(at: Place) -> str:
    at.put("none/a")
    found = at.client.list_objects_v2(Bucket=at.bucket, Prefix="none/", MaxKeys=0)
    return f"{len(found.get('Contents', []))} keys, {'' if found['IsTruncated'] else 'not '}truncated"


@question("delete many, some absent", "2 deleted, 0 errors")
def _(at: Place) -> str:
    at.put("many/a")
    found = at.client.delete_objects(Bucket=at.bucket, Delete={"Objects": [{"Key": "many/a"}, {"Key": "many/b"}]})
    return f"{len(found.get('Deleted', []))} deleted, {len(found.get('Errors', []))} errors"


@question("uploads of keys are listed", "u/a u/b")
def _(at: Place) -> str:
    for name in ("u/b", "u/a"):
        at.client.create_multipart_upload(Bucket=at.bucket, Key=name)
    found = at.client.list_multipart_uploads(Bucket=at.bucket, Prefix="u/")
    return " ".join(entry["Key"] for entry in found.get("Uploads", []))


@question("abort twice", "404 NoSuchUpload")
def _(at: Place) -> str:
    started, _ = at.upload("abort")
    at.client.abort_multipart_upload(Bucket=at.bucket, Key="abort", UploadId=started)
    return outcome(lambda: at.client.abort_multipart_upload(Bucket=at.bucket, Key="abort", UploadId=started))


@question("complete with a small part before the last", "400 EntityTooSmall")
def _(at: Place) -> str:
    started, parts = at.upload("small", (10, 10))
    return at.complete("small", started, parts)


@question("make a bucket that is ours", "409 BucketAlreadyOwnedByYou or done")
def _(at: Place) -> str:
    said = outcome(lambda: at.client.create_bucket(Bucket=at.bucket))
    expected = "409 BucketAlreadyOwnedByYou or done"
    return expected if said in ("done", "409 BucketAlreadyOwnedByYou") else said


@question("delete a bucket with objects", "409 BucketNotEmpty")
def _(at: Place) -> str:
    at.put("inside")
    return outcome(lambda: at.client.delete_bucket(Bucket=at.bucket))


@question("time of a put in head and list", "same")
def _(at: Place) -> str:
    at.put("time")
    head = at.client.head_object(Bucket=at.bucket, Key="time")["LastModified"]
    [listed] = [e["LastModified"] for e in at.client.list_objects_v2(Bucket=at.bucket, Prefix="time")["Contents"]]
    return "same" if head == listed.replace(microsecond=0) else "differ"
