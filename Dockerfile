# The study with its environment and the book of the default model:
#
#     docker build --tag crosseyed .
#     docker run --rm --publish 127.0.0.1:8000:8000 crosseyed
#
# It takes about 7.2 GB beside its base image. That is an estimate from measured parts, on Linux with x86-64: the packages
# of the lock 6.7 GB, most of them for CUDA; an edition of the book 0.4 GB; the repository 15 MB.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends make=4.3-* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 reader

USER 1000
WORKDIR /home/reader/crosseyed
ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1

# The packages are a layer of their own, so that a change of a page does not fetch them again.
COPY --chown=reader:reader environment.sh requirements.lock pyproject.toml README.md LICENSE ./
COPY --chown=reader:reader lib/crosseyed/__init__.py lib/crosseyed/__init__.py
RUN sh environment.sh true

COPY --chown=reader:reader . .
RUN make book

EXPOSE 8000
CMD ["sh", "environment.sh", "python", "-m", "http.server", "8000", \
    "--directory", "_build/editions/pocketclip-centered/html"]
