"""Which function answers which operation; the names are those of the table of operations."""

from collections.abc import Mapping

from deltaglider_proxy.s3.call import Handler
from deltaglider_proxy.s3.operations import (
    buckets,
    complete_upload,
    copy_object,
    delete_objects,
    get_object,
    list_objects,
    multipart,
    post_object,
    put_object,
    tagging,
)

HANDLERS: Mapping[str, Handler] = {
    function.__name__: function
    for function in (
        buckets.absent_configuration,
        buckets.create_bucket,
        buckets.delete_bucket,
        buckets.empty_configuration,
        buckets.get_bucket_location,
        buckets.get_bucket_policy_status,
        buckets.get_bucket_versioning,
        buckets.head_bucket,
        buckets.head_service,
        buckets.list_buckets,
        buckets.not_implemented,
        buckets.put_bucket_versioning,
        complete_upload.complete_multipart_upload,
        copy_object.copy_object,
        delete_objects.delete_object,
        delete_objects.delete_objects,
        get_object.get_object,
        get_object.get_object_attributes,
        get_object.head_object,
        list_objects.list_object_versions,
        list_objects.list_objects,
        list_objects.list_objects_v2,
        multipart.abort_multipart_upload,
        multipart.create_multipart_upload,
        multipart.list_multipart_uploads,
        multipart.list_parts,
        multipart.upload_part,
        multipart.upload_part_copy,
        post_object.post_object,
        put_object.put_object,
        tagging.delete_bucket_tagging,
        tagging.delete_object_tagging,
        tagging.get_bucket_acl,
        tagging.get_bucket_tagging,
        tagging.get_object_acl,
        tagging.get_object_tagging,
        tagging.put_bucket_acl,
        tagging.put_bucket_tagging,
        tagging.put_object_acl,
        tagging.put_object_tagging,
    )
}
