# One image for every process of the platform; the command decides which (see helm/keystead).
# The base can come from a mirror: --build-arg PYTHON_IMAGE=registry.example/python:3.12-slim-bookworm
ARG PYTHON_IMAGE=python:3.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never
WORKDIR /build
COPY requirements/build.txt requirements/base.txt requirements/
RUN pip install --no-cache-dir --require-hashes --requirement requirements/build.txt \
    && python -m venv --without-pip /opt/keystead \
    && uv pip install --python /opt/keystead/bin/python --require-hashes --requirement requirements/base.txt
COPY pyproject.toml LICENSE ./
COPY src src
COPY provisioning provisioning
COPY tenants tenants
COPY shared shared
RUN hatchling build --target wheel \
    && uv pip install --python /opt/keystead/bin/python --no-deps --no-index dist/*.whl

FROM ${PYTHON_IMAGE}
ENV PATH=/opt/keystead/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/keystead /opt/keystead
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000
CMD ["granian", "--interface", "wsgi", "--host", "0.0.0.0", "--port", "8000", "config.wsgi:application"]
