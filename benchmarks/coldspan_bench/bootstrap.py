# In the stead of /var/runtime/bootstrap.py, and in its order: the runtime client is imported before a layer's python
# folder is on the path; where PYTHONPATH is set, the layer's folder is left to it; user code finds PYTHONPATH set.
import os
import site
import sys

import awslambdaric.__main__ as awslambdaricmain

task = os.environ["LAMBDA_TASK_ROOT"]
layer = os.environ.get("BENCH_LAYER_PYTHON")
if "PYTHONPATH" in os.environ or layer is None:
    sys.path[0:0] = [task]
else:
    sys.path[0:0] = [task, layer]
    site.addsitedir(layer)
os.environ.setdefault("PYTHONPATH", os.environ["LAMBDA_RUNTIME_DIR"])
awslambdaricmain.main([task, os.environ["_HANDLER"]])
