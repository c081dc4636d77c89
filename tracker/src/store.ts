// What the browser keeps. Storage and cookies throw or vanish in some privacy modes; the page must work all the same.

export const attempt = <T>(work: () => T): T | undefined => {
  try {
    return work();
  } catch {
    return undefined;
  }
};

export const read = (key: string) => attempt(() => localStorage.getItem(key));

/** Whether it is kept. */
export const write = (key: string, value: string) => attempt(() => (localStorage.setItem(key, value), true));

export const erase = (key: string) => attempt(() => localStorage.removeItem(key));

export const keys = () => attempt(() => Object.keys(localStorage)) ?? [];

/** Everything of the tracker but the visitor's choice. */
export const wipe = () => {
  for (const area of ['localStorage', 'sessionStorage'] as const) {
    attempt(() => {
      for (const key of Object.keys(window[area])) if (/^(utm|lv)_(?!consent)/.test(key)) window[area].removeItem(key);
    });
  }
};

export const cookie = (name: string) =>
  document.cookie.split('; ').find((pair) => pair.startsWith(name + '='))?.slice(name.length + 1);

export const setCookie = (name: string, value: string, seconds: number) => {
  document.cookie = `${name}=${value}; Max-Age=${seconds}; Path=/; SameSite=Lax${location.protocol === 'https:' ? '; Secure' : ''}`;
};
