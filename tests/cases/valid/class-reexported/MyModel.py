from impl import Impl as MyModel
