"""The AWS service model of S3, as botocore ships it: the source of operation names, shapes and enumerations.

It is large and read at its first use; whoever starts the server may call `service` early.
"""

from functools import cache

from botocore.loaders import Loader
from botocore.model import ServiceModel, StructureShape


@cache
def service() -> ServiceModel:
    return ServiceModel(Loader().load_service_model("s3", "service-2"), "s3")


@cache
def structure(name: str) -> StructureShape:
    shape = service().shape_for(name)
    if not isinstance(shape, StructureShape):
        raise TypeError(f"{name} is no structure")
    return shape
