# One stage per image on a common base; each environment is what its lock says, hash for hash.
#
#   docker build --target registry -t pilot/registry .      (also: aggregator, trainer, trainer-bare, digits, minio)
#
# `make images` builds all of them. BASE_IMAGE is Python 3.11 on Debian; where no registry can be reached, any local
# image with python3 and python3-venv does. Plain instructions only, so that old builders can follow.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS tools
# For `strip`: wheels of compiled packages carry symbols that only a debugger reads.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY requirements/build.lock requirements/
RUN python3 -m venv /tools && /tools/bin/pip install --no-cache-dir --require-hashes -r requirements/build.lock
ENV UV_NO_CACHE=1 UV_LINK_MODE=copy VIRTUAL_ENV=/opt/pilot
RUN /tools/bin/uv venv --python "$(command -v python3)" /opt/pilot
COPY tools/wheels.sh tools/

# Dependencies change seldom and sources often: two layers.
FROM tools AS registry-environment
COPY requirements/registry.lock requirements/
RUN /tools/bin/uv pip sync --require-hashes --compile-bytecode requirements/registry.lock
COPY proto proto
COPY disk disk
COPY http http
COPY client client
COPY reports reports
COPY services/registry services/registry
RUN tools/wheels.sh proto disk http client reports services/registry

FROM tools AS aggregator-environment
COPY requirements/aggregator.lock requirements/
RUN /tools/bin/uv pip sync --require-hashes --compile-bytecode requirements/aggregator.lock
COPY proto proto
COPY disk disk
COPY http http
COPY client client
COPY services/aggregator services/aggregator
RUN tools/wheels.sh proto disk http client services/aggregator

FROM tools AS trainer-environment
COPY requirements/trainer.lock requirements/
RUN /tools/bin/uv pip sync --require-hashes --compile-bytecode requirements/trainer.lock
COPY proto proto
COPY client client
COPY data data
COPY model model
COPY services/trainer services/trainer
RUN tools/wheels.sh proto client data model services/trainer

# All but torch and what only torch needs, which is ten times the rest: for machines that have it already.
FROM tools AS trainer-bare-environment
COPY requirements/trainer.lock requirements/
RUN awk '/^[^ ]/ {keep = !/^(torch==|triton==|nvidia-|cuda-)/} keep' requirements/trainer.lock >requirements/bare.lock
RUN /tools/bin/uv pip sync --require-hashes --compile-bytecode requirements/bare.lock
COPY proto proto
COPY client client
COPY data data
COPY model model
COPY services/trainer services/trainer
RUN tools/wheels.sh proto client data model services/trainer

FROM tools AS digits-scenes
COPY requirements/digits.lock requirements/
RUN /tools/bin/uv pip sync --require-hashes requirements/digits.lock
COPY digits digits
RUN tools/wheels.sh digits
RUN /opt/pilot/bin/python -c "from pathlib import Path; from pilot_digits.federation import write_federation as write; write('digits', Path('/digits'))"

# What runs: an unprivileged user, a root file system that may be read-only, no compiler, no package manager of ours.
FROM ${BASE_IMAGE} AS runtime
ENV PATH=/opt/pilot/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
USER 10001:10001
WORKDIR /tmp

FROM runtime AS registry
COPY --from=registry-environment /opt/pilot /opt/pilot
ENTRYPOINT ["python", "-m", "pilot_registry"]

FROM runtime AS aggregator
COPY --from=aggregator-environment /opt/pilot /opt/pilot
ENTRYPOINT ["python", "-m", "pilot_aggregator"]

FROM runtime AS trainer
COPY --from=trainer-environment /opt/pilot /opt/pilot
ENTRYPOINT ["python", "-m", "pilot_trainer"]

FROM runtime AS trainer-bare
COPY --from=trainer-bare-environment /opt/pilot /opt/pilot
# Where torch is mounted.
ENV PYTHONPATH=/opt/torch
ENTRYPOINT ["python", "-m", "pilot_trainer"]

# The demo's data and base model, to be copied into a pod's volume: nine clients of digit scenes.
FROM runtime AS digits
COPY --from=digits-scenes /digits /digits
CMD ["ls", "/digits"]

# Built from its Go module by tools/minio.sh: there is no image of it any more.
FROM scratch AS minio
COPY .minio/bin/minio /minio
USER 10001:10001
ENTRYPOINT ["/minio"]
