from somewhere import Base


class MyModel(Base):
    pass
