"""The container image and the CronJob, as far as they can be tried without an engine that builds images.

deploy/Containerfile collects what the image holds with deploy/container-root. Here the same script does so with the
program of the tests, and the program runs in that root like in a container: as a job, with the settings of
deploy/kubernetes/cronjob.yaml, and as a Lambda function.
"""

from __future__ import annotations

from .proof import prove

__all__ = ["prove"]
