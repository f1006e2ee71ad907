from base import Base


class MyModel(Base):
    pass
