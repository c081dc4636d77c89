// Requests to the shop's own API. Every refusal arrives as one `ApiError`, also when there is no network.

export class ApiError extends Error {
  constructor(status, body, retryAfter) {
    super(body.error ?? 'The shop did not answer. Please check your connection and try again.');
    this.status = status;
    this.code = body.code ?? 'no_answer';
    this.fields = body.fields ?? {};
    this.body = body;
    /** Milliseconds, where the answer says when to try again. */
    this.retryAfter = retryAfter;
  }
}

export const request = async (method, path, { body, token, headers = {}, type = 'application/json' } = {}) => {
  const all = { accept: 'application/json', ...headers };
  if (body !== undefined) all['content-type'] = type;
  if (token) all.authorization = `Bearer ${token}`;
  const text = body === undefined || typeof body === 'string' || body instanceof Blob ? body : JSON.stringify(body);
  let answer;
  try {
    answer = await fetch(path, { method, headers: all, body: text, cache: 'no-store' });
  } catch {
    throw new ApiError(0, {});
  }
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return json;
  const seconds = Number(answer.headers.get('retry-after'));
  throw new ApiError(answer.status, json, seconds > 0 ? seconds * 1000 : undefined);
};

export const get = (path, options) => request('GET', path, options);
export const post = (path, body, options) => request('POST', path, { ...options, body });
