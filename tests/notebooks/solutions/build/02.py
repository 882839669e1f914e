"""Solution of the exercise build-02."""

from http.client import HTTPConnection

import labrt

path = f"/v2/course/hello/manifests/{labrt.draw('build-02')}"
asking = HTTPConnection(address)  # noqa: F821 - the notebook's
asking.request("PUT", path, body=data, headers={"Content-Type": kind})  # noqa: F821
done = asking.getresponse().status
