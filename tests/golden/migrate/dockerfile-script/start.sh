#!/bin/sh
exec seldon-core-microservice MyModel
