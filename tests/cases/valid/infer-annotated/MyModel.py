class MyModel:
    async def infer(self, inputs: "dict[str, object]", *, context):
        return inputs
