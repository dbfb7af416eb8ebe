"""Questions about conditions and copies."""

from tests.integration.services.place import REFUSED, WRONG, Place, outcome, question


@question("put if-none-match *, present", REFUSED)
def _(at: Place) -> str:
    at.put("cond-1")
    return outcome(lambda: at.put("cond-1", IfNoneMatch="*"))


@question("put if-none-match *, absent", "done")
def _(at: Place) -> str:
    return outcome(lambda: at.put("cond-2", IfNoneMatch="*"))


@question("put if-match, same", "done")
def _(at: Place) -> str:
    etag = at.put("cond-3")
    return outcome(lambda: at.put("cond-3", IfMatch=etag))


@question("put if-match, other", REFUSED)
def _(at: Place) -> str:
    at.put("cond-4")
    return outcome(lambda: at.put("cond-4", IfMatch=WRONG))


@question("put if-match, absent", "404 NoSuchKey")
def _(at: Place) -> str:
    return outcome(lambda: at.put("cond-5", IfMatch=WRONG))


@question("delete if-match, same", "done, gone")
def _(at: Place) -> str:
    etag = at.put("cond-6")
    said = outcome(lambda: at.client.delete_object(Bucket=at.bucket, Key="cond-6", IfMatch=etag))
    return f"{said}, {'still there' if at.keys('cond-6') else 'gone'}"


@question("delete if-match, other", f"{REFUSED}, still there")
def _(at: Place) -> str:
    at.put("cond-7")
    said = outcome(lambda: at.client.delete_object(Bucket=at.bucket, Key="cond-7", IfMatch=WRONG))
    return f"{said}, {'still there' if at.keys('cond-7') else 'gone'}"


@question("delete, absent", "done")
def _(at: Place) -> str:
    return outcome(lambda: at.client.delete_object(Bucket=at.bucket, Key="cond-8"))


@question("complete if-none-match *, present", REFUSED)
def _(at: Place) -> str:
    at.put("cond-9")
    return complete(at, "cond-9", IfNoneMatch="*")


@question("complete if-none-match *, absent", "done")
def _(at: Place) -> str:
    return complete(at, "cond-10", IfNoneMatch="*")


@question("complete if-match, other", REFUSED)
def _(at: Place) -> str:
    at.put("cond-11")
    return complete(at, "cond-11", IfMatch=WRONG)


@question("complete if-match, same", "done")
def _(at: Place) -> str:
    return complete(at, "cond-12", IfMatch=at.put("cond-12"))


@question("complete if-match, absent", "404 NoSuchKey")
def _(at: Place) -> str:
    return complete(at, "cond-13", IfMatch=WRONG)


@question("complete twice", "done")
def _(at: Place) -> str:
    started, parts = at.upload("twice")
    at.complete("twice", started, parts)
    return at.complete("twice", started, parts)


@question("get and head if-match, other", f"{REFUSED}, 412")
def _(at: Place) -> str:
    at.put("cond-14")
    get = outcome(lambda: at.client.get_object(Bucket=at.bucket, Key="cond-14", IfMatch=WRONG))
    return f"{get}, {at.raw('HEAD', 'cond-14', {'If-Match': WRONG}).status}"


@question("get if-none-match, same", "304")
def _(at: Place) -> str:
    etag = at.put("cond-15")
    return str(at.raw("GET", "cond-15", {"If-None-Match": etag}).status)


def complete(at: Place, key: str, **conditions: str) -> str:
    started, parts = at.upload(key)
    return at.complete(key, started, parts, **conditions)


def copy(at: Place, source: str, target: str, **more: str) -> str:
    given = {"Bucket": at.bucket, "Key": source}
    return outcome(lambda: at.call("copy_object", Key=target, CopySource=given, **more))


@question("copy source-if-match, same", "done")
def _(at: Place) -> str:
    return copy(at, "copy-1", "copy-2", CopySourceIfMatch=at.put("copy-1"))


@question("copy source-if-match, other", REFUSED)
def _(at: Place) -> str:
    at.put("copy-3")
    return copy(at, "copy-3", "copy-4", CopySourceIfMatch=WRONG)


@question("copy if-none-match *, present", REFUSED)
def _(at: Place) -> str:
    at.put("copy-5")
    at.put("copy-6")
    return copy(at, "copy-5", "copy-6", IfNoneMatch="*")


@question("copy if-match, other", REFUSED)
def _(at: Place) -> str:
    at.put("copy-7")
    at.put("copy-8")
    return copy(at, "copy-7", "copy-8", IfMatch=WRONG)


@question("copy with other metadata", "{'new': '1'}, text/plain")
def _(at: Place) -> str:
    at.client.put_object(Bucket=at.bucket, Key="copy-9", Body=b"x", Metadata={"old": "1"}, ContentType="text/html")
    at.client.copy_object(
        Bucket=at.bucket,
        Key="copy-10",
        CopySource={"Bucket": at.bucket, "Key": "copy-9"},
        MetadataDirective="REPLACE",
        Metadata={"new": "1"},
        ContentType="text/plain",
    )
    found = at.client.head_object(Bucket=at.bucket, Key="copy-10")
    return f"{found['Metadata']}, {found['ContentType']}"


@question("copy a key with + % and é", "done")
def _(at: Place) -> str:
    at.put("copy + %2F é")
    return copy(at, "copy + %2F é", "copy-11")


def part_copy(at: Place, key: str, **more: str) -> str:
    at.put(f"{key}-source", bytes(range(256)) * 100)
    started = at.client.create_multipart_upload(Bucket=at.bucket, Key=key)["UploadId"]
    source = {"Bucket": at.bucket, "Key": f"{key}-source"}
    made = outcome(
        lambda: at.call("upload_part_copy", Key=key, UploadId=started, PartNumber=1, CopySource=source, **more)
    )
    if made != "done":
        return made
    [part] = at.client.list_parts(Bucket=at.bucket, Key=key, UploadId=started)["Parts"]
    at.complete(key, started, [{"PartNumber": 1, "ETag": part["ETag"]}])
    return f"{len(at.read(key))} bytes"


@question("part copy", "25600 bytes")
def _(at: Place) -> str:
    return part_copy(at, "part-1")


@question("part copy with a range", "200 bytes")
def _(at: Place) -> str:
    return part_copy(at, "part-2", CopySourceRange="bytes=100-299")


@question("part copy past the end", "416 InvalidRange")
def _(at: Place) -> str:
    return part_copy(at, "part-3", CopySourceRange="bytes=100-99999")


@question("part copy source-if-match, other", REFUSED)
def _(at: Place) -> str:
    return part_copy(at, "part-4", CopySourceIfMatch=WRONG)
