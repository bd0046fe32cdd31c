# Three images from one file; docs/images.md says what is in each, and how they are run, checked and released.
#   docker build -t roberta-serve:cpu .                     the default
#   docker build -t roberta-serve:gpu --target gpu .        needs `docker run --gpus all`
#   docker build -t roberta-serve:train --target train .    roberta-train, with PyTorch for the CPU
# `make image TARGET=cpu` does so with docker, podman or buildah, and writes into the image what it was made of.
# To serve a model of the Hugging Face Hub by its name, and keep what was fetched in a volume:
#   docker run --rm -p 8000:8000 -v hub-cache:/cache roberta-serve:cpu --model ORG/NAME

# `make pin` adds the digest. Written out, since Dependabot reads no ARG.
FROM python:3.11-slim-bookworm AS base

# --- What is installed -------------------------------------------------------------------------------------
# The environments hold dependencies only, no pip and none of our code: a change of code installs nothing. Every
# file that is installed has the hash that `make lock` has written down. What serving never imports is taken out;
# libonnxruntime.so is onnxruntime once more, for programs in C. `srv.pth` lets Python import /srv.

FROM base AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/venv \
 && echo /srv > "$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/srv.pth" \
 && printf '#!/opt/venv/bin/python\nfrom app.__main__ import main\n\nmain()\n' > /opt/venv/bin/roberta-serve \
 && chmod +x /opt/venv/bin/roberta-serve
COPY deploy/image/trim.sh ./

FROM environment AS environment-cpu
COPY deploy/requirements/cpu.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps -r cpu.txt \
 && ./trim.sh /opt/venv/bin/python numpy/distutils numpy/f2py \
    onnxruntime/quantization onnxruntime/tools onnxruntime/transformers 'onnxruntime/capi/libonnxruntime.so.*'

FROM environment AS environment-gpu
COPY deploy/requirements/gpu.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps -r gpu.txt \
 && ./trim.sh /opt/venv/bin/python numpy/distutils numpy/f2py \
    onnxruntime/quantization onnxruntime/tools onnxruntime/transformers 'onnxruntime/capi/libonnxruntime.so.*'

# PyTorch publishes builds for the CPU on a page of its own. TORCH can name another page, or a folder that is mounted
# into the build; docs/images.md says how.
FROM environment AS environment-train
ARG TORCH=https://download.pytorch.org/whl/cpu/torch/
RUN printf '#!/opt/venv/bin/python\nfrom training.__main__ import main\n\nmain()\n' > /opt/venv/bin/roberta-train \
 && chmod +x /opt/venv/bin/roberta-train
COPY deploy/requirements/train.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps --find-links "$TORCH" -r train.txt \
 && ./trim.sh /opt/venv/bin/python

# --- What is copied ----------------------------------------------------------------------------------------

# Our files, readable by every user whatever the umask of the checkout, and compiled here because the images
# run read-only.
FROM base AS source
WORKDIR /srv
COPY models ./models
COPY LICENSE ./
COPY app ./app
COPY training ./training
RUN python -m compileall -q --invalidation-mode unchecked-hash app training && chmod -R a+rX .

# A bill of materials of each lock.
FROM base AS sbom
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/tools
COPY deploy/requirements ./deploy/requirements
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/tools/bin/python install --require-hashes --no-deps -r deploy/requirements/sbom.txt
COPY pyproject.toml LICENSE ./
COPY app/__init__.py ./app/
COPY deploy/image/sbom.sh ./
RUN for lock in cpu gpu train; do \
      CYCLONEDX=/opt/tools/bin/cyclonedx-py ./sbom.sh deploy/requirements/$lock.txt $lock.cdx.json || exit 1; \
    done

# --- What runs ---------------------------------------------------------------------------------------------

FROM base AS runtime
LABEL org.opencontainers.image.title="roberta-serve" \
      org.opencontainers.image.description="RoBERTa models behind /classify, /ner and /fill-mask" \
      org.opencontainers.image.licenses="Apache-2.0"
# Files belong to root and the process does not, so it can change none of them.
RUN groupadd --gid 10001 roberta \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin roberta
# Where models that are served by their names are kept: a volume that is mounted here takes the user over. The group
# is for users that an orchestrator makes up, which are of group 0.
RUN install --directory --owner 10001 --group 0 --mode 0775 /cache
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HOME=/tmp \
    HF_HOME=/cache
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
STOPSIGNAL SIGTERM

# The models folder is /srv/models, the default in this working directory: with --model it is not served unless
# ROBERTA_MODELS or --models names it.
FROM runtime AS service
ENV ROBERTA_HOST=0.0.0.0 \
    ROBERTA_PORT=8000 \
    ROBERTA_ADMIN_PORT=8001 \
    ROBERTA_SHUTDOWN_DELAY_S=5
WORKDIR /srv
# 8001: health, metrics and the other pages alone, which answer however busy the service is. For probes, not the public.
EXPOSE 8000 8001
# It asks where the flags and the environment of the service have it listen, never through HTTP_PROXY. An image in
# OCI's format has no health check, so the compose file has the same line.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-m", "app.commands.health"]
# No shell in between, so SIGTERM arrives and the service drains.
ENTRYPOINT ["roberta-serve"]

# Largest and most stable layers first.
# No CUDA base image: onnxruntime-gpu[cuda,cudnn] brings its libraries; the driver comes from the host.
FROM service AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ROBERTA_DEVICE=cuda
COPY --from=environment-gpu /opt/venv /opt/venv
COPY --from=source /srv/models /srv/models
COPY --from=sbom /build/gpu.cdx.json /srv/sbom.cdx.json
COPY --from=source /srv/LICENSE /srv/LICENSE
COPY --from=source /srv/app /srv/app

# It works in /work, where a folder of the host is mounted. Libraries ask for the user's name and for places to write.
FROM runtime AS train
ENV USER=roberta \
    MPLCONFIGDIR=/tmp/matplotlib \
    ROBERTA_DEVICE=cpu
WORKDIR /work
ENTRYPOINT ["roberta-train"]
COPY --from=environment-train /opt/venv /opt/venv
COPY --from=sbom /build/train.cdx.json /srv/sbom.cdx.json
COPY --from=source /srv/LICENSE /srv/LICENSE
COPY --from=source /srv/app /srv/app
COPY --from=source /srv/training /srv/training

FROM service AS cpu
ENV ROBERTA_DEVICE=cpu
COPY --from=environment-cpu /opt/venv /opt/venv
COPY --from=source /srv/models /srv/models
COPY --from=sbom /build/cpu.cdx.json /srv/sbom.cdx.json
COPY --from=source /srv/LICENSE /srv/LICENSE
COPY --from=source /srv/app /srv/app
