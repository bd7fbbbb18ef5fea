"""Remote write 1.0: samples -> a snappy-compressed prometheus.WriteRequest.

Source: https://prometheus.io/docs/specs/prw/remote_write_spec/ and prompb/{remote,types}.proto of
Prometheus. The four messages are described here instead of in generated code, so that protobuf and nothing
else is needed.
"""

from collections.abc import Sequence
from typing import Any

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from seawall.core.signals import Labels, Sample

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
_FIELD = descriptor_pb2.FieldDescriptorProto
_MESSAGES = {
    "Label": (("name", 1, _FIELD.TYPE_STRING, ""), ("value", 2, _FIELD.TYPE_STRING, "")),
    "Sample": (("value", 1, _FIELD.TYPE_DOUBLE, ""), ("timestamp", 2, _FIELD.TYPE_INT64, "")),
    "TimeSeries": (
        ("labels", 1, _FIELD.TYPE_MESSAGE, "Label"),
        ("samples", 2, _FIELD.TYPE_MESSAGE, "Sample"),
    ),
    "WriteRequest": (("timeseries", 1, _FIELD.TYPE_MESSAGE, "TimeSeries"),),
}


def _described() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="seawall/remote_write.proto", package="prometheus", syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = _FIELD.LABEL_REPEATED if of else _FIELD.LABEL_OPTIONAL
            named = f".prometheus.{of}" if of else None
            message.field.add(name=field, number=number, type=kind, label=label, type_name=named)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WriteRequest: Any = _described()


def milliseconds(at: float) -> int:
    """Unix seconds -> the time stamp that Prometheus keeps."""
    return round(at * 1000)


def write_request(samples: Sequence[Sample], job: str) -> bytes:
    """Samples by series and time, as the receiver wants them; a label without a value is left out."""
    series: dict[tuple[str, str, Labels], dict[int, float]] = {}
    for sample in samples:
        of = series.setdefault((sample.registry, sample.signal, sample.labels), {})
        of.setdefault(milliseconds(sample.at), sample.value)
    request = WriteRequest()
    for (registry, signal, pairs), points in series.items():
        one = request.timeseries.add()
        named = {**dict(pairs), "__name__": signal, "job": job, "registry": registry}
        for name in sorted(named):
            if named[name]:
                one.labels.add(name=name, value=named[name])
        for at in sorted(points):
            one.samples.add(value=points[at], timestamp=at)
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))
