"""What the registry counts for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram


class Metrics:
    """One set per application, so that two in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.uploads = Counter(
            "pilot_uploads", "Uploaded files, by verdict", ["kind", "verdict", "code"], registry=self.registry
        )
        self.upload_bytes = Counter("pilot_upload_bytes", "Bytes of admitted files", registry=self.registry)
        self.admission_seconds = Histogram(
            "pilot_admission_seconds", "From the last byte to the verdict", registry=self.registry
        )
        self.commits = Counter("pilot_commits", "Client commits, by outcome", ["code"], registry=self.registry)
        self.gc_runs = Counter("pilot_gc_runs", "Garbage collections", registry=self.registry)
        self.gc_blobs = Counter("pilot_gc_reclaimed_blobs", "Blobs that were deleted", registry=self.registry)
        self.gc_bytes = Counter("pilot_gc_reclaimed_bytes", "Bytes of deleted blobs", registry=self.registry)
