import redis


def call(): ...
