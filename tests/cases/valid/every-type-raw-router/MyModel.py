class MyModel:
    def route_raw(self, message):
        return message
