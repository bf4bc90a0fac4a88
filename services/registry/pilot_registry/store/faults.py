"""What an S3 error means to the person who runs the registry: values in, an exception out."""

from pilot_registry.store.port import StoreFault, StoreFull

FULL = frozenset(
    {
        "XMinioStorageFull",
        "XMinioAdminBucketQuotaExceeded",
        "QuotaExceeded",
        "InsufficientStorage",
        "ServiceQuotaExceeded",
    }
)

REMEDIES = {
    "InvalidAccessKeyId": (
        "the server knows no such access key",
        "check PILOT_REGISTRY_S3_ACCESS_KEY_FILE, and that the key belongs to this endpoint",
    ),
    "SignatureDoesNotMatch": (
        "the secret key does not belong to the access key, or a proxy changed the request",
        "check PILOT_REGISTRY_S3_SECRET_KEY_FILE and PILOT_REGISTRY_S3_REGION",
    ),
    "RequestTimeTooSkewed": (
        "this machine's clock and the server's differ by more than 15 minutes, so signatures have expired",
        "set the clock (NTP)",
    ),
    "ExpiredToken": ("the credentials have expired", "issue new ones; files are read again by themselves"),
    "NoSuchBucket": ("there is no such bucket", "create it, or correct PILOT_REGISTRY_S3_BUCKET"),
    "AccessDenied": (
        "the key is known, but its policy does not allow this",
        "allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:ListBucket and s3:AbortMultipartUpload on this bucket",
    ),
    "AuthorizationHeaderMalformed": ("the region is another one", "correct PILOT_REGISTRY_S3_REGION"),
    "PermanentRedirect": ("the bucket lives at another endpoint", "correct PILOT_REGISTRY_S3_ENDPOINT"),
    "MethodNotAllowed": ("the endpoint is not an S3 server", "correct PILOT_REGISTRY_S3_ENDPOINT"),
}
"""Rule and remedy by S3 error code; with these, waiting does not help."""


def fault_of(place: str, doing: str, code: str, status: int, message: str) -> StoreFault:
    """The fault behind an S3 error; `place` is the bucket and its endpoint, `doing` what we were at."""
    told = f"{place}: {doing}: {code or status}"
    if code in FULL or status == 507:
        return StoreFull(f"{told}: the bucket is full", hint="make room or raise its quota, or run the collection (gc)")
    if code in REMEDIES:
        rule, remedy = REMEDIES[code]
        return StoreFault(f"{told}: {rule}", hint=remedy, permanent=True)
    return StoreFault(f"{told}: {message}", hint="see the S3 server's log; the registry tries again", permanent=False)


def unreachable(place: str, doing: str, reason: str) -> StoreFault:
    """The fault when no answer came."""
    return StoreFault(
        f"{place}: {doing}: no answer: {reason}",
        hint="is the S3 server up, is PILOT_REGISTRY_S3_ENDPOINT right, does PILOT_REGISTRY_S3_CA_FILE know its CA?",
        permanent=False,
    )
