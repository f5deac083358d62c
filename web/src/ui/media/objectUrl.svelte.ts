/** An address of a blob of this tab, given back when the component goes. */
export class ObjectUrl {
  url = $state<string>();

  constructor(blob: () => Blob | undefined) {
    $effect(() => {
      const now = blob();
      if (!now) return;
      const url = URL.createObjectURL(now);
      this.url = url;
      return () => {
        this.url = undefined;
        URL.revokeObjectURL(url);
      };
    });
  }
}
