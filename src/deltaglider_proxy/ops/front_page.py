"""The page at `/_/`: where the operational endpoints are and how to point a client here. It fetches nothing.

It does not say which version runs, because anybody may read it.
"""

import re
from html import escape

_HOST = re.compile(r"[A-Za-z0-9.\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
FALLBACK_HOST = "localhost:9000"

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>DeltaGlider Proxy</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; color: #222; }}
pre, code {{ font: 14px/1.5 ui-monospace, monospace; background: #f3f3f3; }}
pre {{ padding: .8rem; overflow-x: auto; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #16181c; color: #ddd; }} pre, code {{ background: #23262c; }} a {{ color: #8ab4f8; }}
}}
</style>
</head>
<body>
<h1>DeltaGlider Proxy</h1>
<p>An S3 endpoint that stores similar objects as small deltas and returns them byte-identical.</p>
<h2>Point a client here</h2>
<pre>export AWS_ACCESS_KEY_ID=...      # access_key_id of the configuration
export AWS_SECRET_ACCESS_KEY=...  # secret_access_key of the configuration
export AWS_ENDPOINT_URL={endpoint}

aws s3 mb s3://releases
aws s3 cp app-1.0.0.tar s3://releases/
aws s3 ls s3://releases/</pre>
<p><a href="/_/docs/">The manual</a> tells the rest.</p>
<h2>Operational endpoints</h2>
<ul>
<li><a href="/_/health"><code>/_/health</code></a>: the process answers</li>
<li><a href="/_/ready"><code>/_/ready</code></a>: the backend answers</li>
<li><a href="/_/stats"><code>/_/stats</code></a>: what is stored and saved; <code>?bucket=NAME</code> for one</li>
<li><a href="/_/metrics"><code>/_/metrics</code></a>: for Prometheus</li>
</ul>
</body>
</html>
"""


def front_page(scheme: str, host: str) -> bytes:
    """`scheme` and `host` as the browser used them; a Host header that is no host name is not shown."""
    shown = host if _HOST.fullmatch(host) else FALLBACK_HOST
    return _PAGE.format(endpoint=escape(f"{'https' if scheme == 'https' else 'http'}://{shown}")).encode()
