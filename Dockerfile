# The worker image for Dataflow, with GPUs or without. Build it from the repository's root:
#   docker build -t REGISTRY/PROJECT/storyteller:0.1.0 .
# and run with --sdk_container_image=THAT_NAME --sdk_location=container.
# Python and Beam must be those of the machine that submits. The CUDA runtime comes with the torch wheel; the driver is
# mounted by Dataflow (install-nvidia-driver). Another base can bring its own CUDA: --build-arg BASE_IMAGE=...
ARG BEAM_VERSION=2.77.0
ARG PYTHON_VERSION=3.11
ARG BASE_IMAGE=python:${PYTHON_VERSION}-slim-bookworm

FROM apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION} AS beam

FROM ${BASE_IMAGE}
ARG BEAM_VERSION
ARG PYTHON_VERSION

# Where Dataflow mounts the NVIDIA driver.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64 \
    PATH=/usr/local/nvidia/bin:${PATH} \
    PIP_NO_CACHE_DIR=1 \
    HF_HUB_OFFLINE=1 \
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false

# The image's name says what the boot program starts: it refuses another Beam or Python only once a job runs.
RUN python -c "import sys; found = '%d.%d' % sys.version_info[:2]; assert found == '${PYTHON_VERSION}', found"

WORKDIR /opt/storyteller
# The versions that the submitting machine has too, where `make install` made its environment.
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock \
    && python -c "import apache_beam; assert apache_beam.__version__ == '${BEAM_VERSION}'"

COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE NOTICE ./
COPY configs configs
COPY model_handlers model_handlers
COPY transforms transforms
COPY pipelines pipelines
COPY packs/pocket packs/pocket
COPY samples samples
RUN pip install --no-deps . && pip check && python -c "import pipelines, torch"

# The pocket pack stands where workers keep their copies of remote packs: a gs:// copy of it need not be fetched by them.
RUN python -c "from model_handlers.pack import Pack, cache_folder; pack = Pack.open('packs/pocket'); \
place = cache_folder() / 'packs' / pack.digest; place.parent.mkdir(parents=True); place.symlink_to(pack.root.resolve())"

COPY --from=beam /opt/apache/beam /opt/apache/beam
ENTRYPOINT ["/opt/apache/beam/boot"]
