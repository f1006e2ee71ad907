class Model:
    pass


class Other:
    pass
