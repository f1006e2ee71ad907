"""The messages of TensorFlow Serving's Predict that the proxy needs, and conversion of arrays.

The wire format has no message names, and encodes a map as a list of keys and values. These messages have the numbers
and types of TensorFlow's fields, in a private descriptor pool, so TensorFlow is not required and does not conflict.
"""

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

PREDICT = "/tensorflow.serving.PredictionService/Predict"
MESSAGES = {
    "Dim": "size:int64=1 name:string=2",
    "Shape": "dim:Dim*=2 unknown_rank:bool=3",
    "Tensor": (
        "dtype:int32=1 tensor_shape:Shape=2 tensor_content:bytes=4 float_val:float*=5 double_val:double*=6"
        " int_val:int32*=7 string_val:bytes*=8 int64_val:int64*=10 bool_val:bool*=11"
    ),
    "NamedTensor": "key:string=1 value:Tensor=2",
    "ModelSpec": "name:string=1 signature_name:string=3",
    "PredictRequest": "model_spec:ModelSpec=1 inputs:NamedTensor*=2",
    "PredictResponse": "outputs:NamedTensor*=1 model_spec:ModelSpec=2",
}
DTYPES = {1: ("<f4", "float_val"), 2: ("<f8", "double_val"), 3: ("<i4", "int_val"), 9: ("<i8", "int64_val")}


def make_pool():
    file = FileDescriptorProto(name="tf_messages.proto", package="tf_messages", syntax="proto3")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split():
            add_field(message, *field.replace("=", ":").split(":"))
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def add_field(message, name, kind, number):
    field = message.field.add(name=name, number=int(number))
    field.label = FieldDescriptorProto.LABEL_REPEATED if kind.endswith("*") else FieldDescriptorProto.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    if kind in MESSAGES:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".tf_messages.{kind}"
    else:
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")


POOL = make_pool()
PredictRequest = GetMessageClass(POOL.FindMessageTypeByName("tf_messages.PredictRequest"))
PredictResponse = GetMessageClass(POOL.FindMessageTypeByName("tf_messages.PredictResponse"))


def write_tensor(array, tensor):
    """Encode integers as int64, all others as float32, which TensorFlow models usually expect."""
    dtype = 9 if array.dtype.kind in "iu" else 1
    tensor.dtype = dtype
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = array.astype(DTYPES[dtype][0]).tobytes()


def read_tensor(tensor):
    if tensor.dtype not in DTYPES:
        raise ValueError(f"TensorFlow Serving returned a tensor of type {tensor.dtype}")
    dtype, member = DTYPES[tensor.dtype]
    shape = [dim.size for dim in tensor.tensor_shape.dim]
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    values = np.array(getattr(tensor, member), dtype)
    # TensorFlow writes a constant tensor as a single value
    return np.broadcast_to(values, shape) if values.size == 1 else values.reshape(shape)
