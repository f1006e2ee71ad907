from company.serving import Base


class MyModel(Base):
    pass
