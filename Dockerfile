# Two images from one file:
#   docker build -t roberta-serve:cpu .                  the default
#   docker build -t roberta-serve:gpu --target gpu .     needs `docker run --gpus all`
# To find the best settings for this machine (they are printed; the README says how to keep them in a file):
#   docker run --rm roberta-serve:cpu tune sentiment
# To serve a model of the Hugging Face Hub by its name, and keep what was fetched in a volume:
#   docker run --rm -p 8000:8000 -v hub-cache:/cache roberta-serve:cpu --model ORG/NAME
# To stamp one: --label org.opencontainers.image.revision=$(git rev-parse HEAD)

FROM python:3.11-slim-bookworm AS base

# What to install, read out of pyproject.toml. A stage of its own, because a later stage that copies these two
# files is rebuilt only when their content changes, not whenever pyproject.toml does.
FROM base AS requirements
WORKDIR /requirements
COPY pyproject.toml ./
RUN python -c "import pathlib, tomllib; \
    project = tomllib.loads(pathlib.Path('pyproject.toml').read_text())['project']; \
    [pathlib.Path(extra).write_text('\n'.join(project['dependencies'] + project['optional-dependencies'][extra])) \
     for extra in ('cpu', 'gpu')]"

# The environments hold dependencies only, no pip and none of our code: a change of code installs nothing.
FROM base AS environment
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/venv
COPY constraints.txt ./

# Every file that is installed has the hash that `make lock` has written down.
FROM environment AS environment-cpu
COPY deploy/requirements/cpu.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --require-hashes --no-deps -r cpu.txt

FROM environment AS environment-gpu
COPY --from=requirements /requirements/gpu ./requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install -c constraints.txt -r requirements.txt

# Our files, readable by every user whatever the umask of the checkout, and compiled here because the image
# runs read-only. `training` stays out: the service never imports it.
FROM base AS source
WORKDIR /srv
COPY models ./models
COPY LICENSE ./
COPY app ./app
RUN python -m compileall -q --invalidation-mode unchecked-hash app && chmod -R a+rX .

FROM base AS runtime
LABEL org.opencontainers.image.title="roberta-serve" \
      org.opencontainers.image.description="RoBERTa models behind /classify, /ner and /fill-mask" \
      org.opencontainers.image.licenses="Apache-2.0"
# Files belong to root and the process does not, so it can change none of them.
RUN groupadd --gid 10001 roberta \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin roberta
# Where models that are served by their names are kept: a volume that is mounted here takes the user over.
RUN mkdir /cache && chown 10001:10001 /cache
# The models folder is /srv/models, the default in this working directory: with --model it is not served unless
# ROBERTA_MODELS or --models names it.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    HF_HOME=/cache \
    ROBERTA_HOST=0.0.0.0 \
    ROBERTA_PORT=8000 \
    ROBERTA_ADMIN_PORT=8001 \
    ROBERTA_SHUTDOWN_DELAY_S=5
WORKDIR /srv
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
# 8001: health, metrics and the other pages alone, which answer however busy the service is. For probes, not the public.
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
# It asks where the flags and the environment of the service have it listen, never through HTTP_PROXY.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-m", "app.commands.health"]
# The same as `roberta-serve`. No shell in between, so SIGTERM arrives and the service drains.
ENTRYPOINT ["python", "-m", "app"]

# Largest and most stable layers first.
# No CUDA base image: onnxruntime-gpu[cuda,cudnn] brings its libraries; the driver comes from the host.
FROM runtime AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ROBERTA_DEVICE=cuda
COPY --from=environment-gpu /opt/venv /opt/venv
COPY --from=source /srv/models /srv/models
COPY --from=source /srv/LICENSE /srv/LICENSE
COPY --from=source /srv/app /srv/app

FROM runtime AS cpu
ENV ROBERTA_DEVICE=cpu
COPY --from=environment-cpu /opt/venv /opt/venv
COPY --from=source /srv/models /srv/models
COPY --from=source /srv/LICENSE /srv/LICENSE
COPY --from=source /srv/app /srv/app
