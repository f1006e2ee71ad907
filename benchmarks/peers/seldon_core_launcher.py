"""Seldon Core's microservice, with the one setting that no flag or variable of it reaches.

Its limit of a gRPC message is an annotation of the pod, which it reads from a file at a fixed place; here that file is
``annotations`` in the working folder.
"""

import sys

from seldon_core import microservice

microservice.ANNOTATIONS_FILE = "annotations"
sys.exit(microservice.main())
