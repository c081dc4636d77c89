// Whether anything may be kept or sent.
import { read, write } from './store';

/** Set while the script tag is being run. */
export const script = document.currentScript as HTMLScriptElement;

/** For a browser that does not keep the choice. */
let chosen: string | undefined;

/** Never under Global Privacy Control; with `data-consent="ask"` after a yes, else until a no. */
export const allowed = () => {
  const choice = read('lv_consent') ?? chosen;
  return navigator.globalPrivacyControl !== true && (script.dataset.consent === 'ask' ? choice === 'on' : choice !== 'off');
};

export const choose = (choice: string) => {
  chosen = choice;
  write('lv_consent', choice);
};

declare global {
  interface Navigator {
    readonly globalPrivacyControl?: boolean;
  }
}
